// Package buildinit is the first process of the container that executes a
// Dockerfile. The executor's image has no shell and no init of its own, so this
// one comes with kiln's image: the gate's container puts it on a volume that
// the executor's container mounts for reading ([Install]).
//
// [Run] guarantees of the executor that it starts:
//
//   - what its children leave behind is reaped, so a RUN that waits for the end
//     of a daemon sees it end;
//   - its standard output and its standard error are one pipe, so that what a
//     RUN prints and what the executor says of it keep their order, and
//     everybody may open that pipe: /dev/stdout is for a RUN of any user;
//   - its standard input is the container's, untouched;
//   - signals that end a process reach it, and its exit code is the container's.
//
// [Await] keeps it from being started before the gate listens. So it can be given its
// input before anybody has heard of that, and no RUN begins before the gate has read what
// it shares with RUNs.
//
// It protects nothing. A RUN as root can end the executor, and can change what
// this process does as it could change the executor itself.
package buildinit
