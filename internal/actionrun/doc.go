// Package actionrun runs an image as an action: a Secret with the environment, a Job,
// the Job's pod from its creation to its exit code, and the action's output in the
// step's log.
//
// # Phases of a run
//
//	starting  the Job gets a pod, and the pod's container starts
//	running   the action runs, and its output is read
//	read      the output was read, as far as it can be; the exit code may be to come
//
// An action that tells its end itself has ended, whatever the phase.
//
// # Guarantees
//
// What is made is written down before it is made, and deleted before a run ends,
// with a context of its own, so that a cancelled step leaves nothing behind; after a
// restart of the daemon [Runner.Discard] deletes what was written down and nothing
// else. The exit code is the one that the action tells, or else its container's. A pod
// that vanishes is a failure, never a success, and so is an action that ended well but
// whose output could not be read.
//
// # Not guaranteed
//
// How the containers of an image start is only known where its registry answers this
// daemon; a step goes without it.
package actionrun
