// Package podrun is everything kiln does with pods through the Kubernetes API:
// create, watch, send to stdin, follow the log, explain why nothing happens,
// read the outcome, delete.
//
// It guarantees:
//
//   - a vanished pod is [ErrGone], never a success;
//   - [Client.Follow] gives podlog a container's log, and has podlog's
//     guarantees;
//   - an attach that ends before stdin does is an error;
//   - a deletion of something that is already gone succeeds;
//   - errors carry their class ([failure.Of]): what the API server refuses, what
//     it does not answer, what is gone;
//   - no connection stays open after the call that opened it has returned.
//
// It does not guarantee that a process read what [Client.Attach] sent: the
// container runtime confirms only that the bytes went into the pipe. It knows
// nothing about what runs in a pod and it writes no log of its own.
//
// [Explain], [Hopeless], [Failed], [Over], [Terminated], [Cause] and [Pending]
// are pure functions of a pod's state.
package podrun
