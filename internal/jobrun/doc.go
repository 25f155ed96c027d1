// Package jobrun gives a job with containers its pod, and takes it away again.
//
// # Phases of a job
//
//	preparing  its Secrets and its pod are made; the containers start
//	ready      the job container runs; steps go into it without this daemon
//	cleaned    nothing of it is left
//
// # Guarantees
//
// A runner has one job at a time: what an earlier one left is removed before the next
// is made. The names of what is made are random, and are written down before it is
// made. A job that is not prepared, or whose preparation is cancelled, leaves nothing,
// and nor does one that was cleaned: what was written down, and what has the marks of
// this runner's jobs, is deleted with a context of its own. After a restart of the
// daemon a job that was ready goes on, and one that was not is deleted
// ([Runner.Discard]). Everything belongs to the runner pod, so that it goes with it
// where nobody asks for anything any more.
//
// # Not guaranteed
//
// Whether the agent can be reached is not looked at here: kiln never connects to it.
package jobrun
