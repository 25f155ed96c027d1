// Package podwait waits for a pod: its states come on a channel, and what keeps it from
// starting is said in the step's log, once for each reason, and again while nothing
// happens.
//
// A reason that cannot go away by itself ends the wait with an error. How long a wait
// may last is for its caller to say.
package podwait
