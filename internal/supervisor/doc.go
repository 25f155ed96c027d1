// Package supervisor keeps a worker process running inside a container that
// must not end by itself.
//
// Actions Runner Controller from 0.14.2 on deletes a runner whose native
// sidecar has ended with another code than 0, and a sidecar that is out of
// memory takes everything in its cgroup with it. So the first process of the
// container does next to nothing: it starts the worker, starts it again with
// back-off whenever it ends, and returns only once it was told to stop.
//
// It guarantees:
//
//   - [Run] returns after SIGTERM or SIGINT and within the grace time, whatever
//     the worker does, and for no other reason;
//   - no process of the worker's group outlives it, nor the supervisor, even one
//     that is killed: the worker dies with it (PR_SET_PDEATHSIG, prctl(2));
//   - what the worker starts in a group of its own outlives the worker, and learns
//     of the supervisor's end, whatever ends it, by its [Lifeline];
//   - no zombie stays, whether or not it is process 1 (PR_SET_CHILD_SUBREAPER);
//   - signals reach the worker;
//   - with [Limits], the worker is out of memory before its container is: a
//     failed allocation ends the worker alone.
//
// It does not tell a worker that hangs from one that works, and it cannot help
// where the kernel kills the whole cgroup for memory that is not the worker's
// own, such as a tmpfs. It belongs to the process: a process calls [Run] once,
// has no other children, and the goroutine that calls it keeps its thread.
package supervisor
