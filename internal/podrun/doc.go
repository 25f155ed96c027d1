// Package podrun is everything kiln does with pods through the Kubernetes API:
// create, watch, send to stdin, follow the log, explain why nothing happens,
// read the outcome, delete.
//
// It guarantees:
//
//   - a vanished pod is [ErrGone], never a success;
//   - [Client.Follow] hands over every byte of a container's log once and in
//     order, however often the stream breaks, as long as the node still serves
//     the file that holds it;
//   - an attach that ends before stdin does is an error;
//   - a deletion of something that is already gone succeeds;
//   - errors carry their class ([failure.Of]): what the API server refuses, what
//     it does not answer, what is gone;
//   - no connection stays open after the call that opened it has returned.
//
// It does not guarantee that a process read what [Client.Attach] sent: the
// container runtime confirms only that the bytes went into the pipe. It does
// not recover a log file that the kubelet rotated away before it was read,
// because the kubelet serves the newest file alone. It knows nothing about what
// runs in a pod and it writes no log of its own.
//
// [Explain], [Hopeless], [Failed], [Over], [Terminated], [Cause] and [Pending]
// are pure functions of a pod's state.
package podrun
