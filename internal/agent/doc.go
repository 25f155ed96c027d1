// Package agent starts a job's steps in its job container: the protocol, its
// server, which is the container's process ([Serve], program kiln-agent), and
// its client, which is the hook that the runner started for one step ([Door]).
//
// # The door
//
// Both sides meet at a Unix socket on the work volume. A step is one
// connection. The client sends the call as one message, and with it the write
// end of a pipe of its own as a descriptor (SCM_RIGHTS, unix(7)); the agent
// starts the program on that pipe, so that what a step prints passes through
// nobody. Both streams of a step are this one pipe, which keeps their order,
// and everybody may open it anew (mode 0666), so that /dev/stdout works for a
// program of any user. The answers are Started and, at the end, one of Exited,
// Signalled and CannotStart.
//
// Where pods share no kernel, the same frames go over TCP, where no descriptor
// can: the secret of the job comes first, and what the step prints comes in
// frames. So it does on a Unix socket on which the descriptor is lost: SELinux
// drops one without an error (selinux_file_receive in the kernel's
// security/selinux/hooks.c), and so they are counted on arrival. An agent that is told
// that its socket works ([Door.Alone]) listens for TCP no longer.
//
// # An action's output
//
// An action is one program, and its container ends with it. So it is the other way
// round there: the client listens ([OpenOutlet]), and what the container starts with
// asks for the write end of its pipe and runs the action ([RunAction]). Where that cannot
// be had, the action prints to the container's log; both sides know which way it went,
// at every moment of a failure of either.
//
// The action's end is told by the same connection as soon as nothing runs any more that
// it has started: a kubelet, which looks once a second, tells it half a second later in
// the mean. What is told is an exit code up to 127 of an action that nobody sent a signal
// and beside which the kernel ended nothing for want of memory: of all else the kubelet
// knows more. To know the end takes the action's parent, which is then the container's
// first process in its place. An image with a program that insists on that place (tini,
// catatonit, s6-overlay, runit, systemd) has it: the first process becomes the action.
//
// # A pod's hosts file
//
// The names of a job's services that are known only once a pod runs come into its hosts
// file by a container of their own in that pod ([AddHosts]), which then ends.
//
// # What is guaranteed
//
//   - A step is a session of its own, with default signals and an empty mask,
//     the soft limits that the container began with unless the call or the agent's
//     configuration has others,
//     umask 022, and a standard input that has ended.
//   - Its environment is the container's, without what the kubelet adds for the
//     API server, then the call's; a prepended path wins over a PATH of the
//     call. The program is looked up in the resulting PATH. That is what the
//     runner makes of `docker exec` (actions/runner, Handlers/StepHost.cs).
//   - Everything that a step had printed when it ended is read, in order, also
//     by a slow reader. What it left running keeps running; from [Grace] after
//     the end its output is a broken pipe (SIGPIPE). Docker ends it then as well
//     (moby, daemon/monitor.go).
//   - SIGKILL reaches the step's whole session and everything below it; every
//     other signal the whole session. A signal after the end reaches nothing.
//   - A client that is gone ends its running step with SIGKILL, and an agent
//     that is gone is an [ErrGone] at once.
//   - Memory and time are bounded for what either side may send: see the limits
//     in message.go and serve.go. A step that runs has no limit of time.
//   - The agent reaps what any step left behind. It needs no shell, no /tmp, no
//     writable root and no user.
//
// # What is not
//
// The agent protects nothing. Whoever can write the socket's directory can
// take its place, or call it, and gains what the job has anyway. A program of
// another user, as of sudo, gets no signal of an agent that is not root. What
// a step started in a new session and then left without parent outlives every
// signal, until the container ends. A client on another node that loses its
// network is noticed after about a minute, or when TCP gives up what it sent.
package agent
