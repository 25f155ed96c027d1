package agent

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// stopping are the signals that end a container. The first of a process
// namespace ignores what it does not handle, and an image may name any of these
// as its own (STOPSIGNAL): SIGWINCH is httpd's, SIGUSR1 haproxy's, SIGQUIT
// nginx's, and 37, SIGRTMIN+3, systemd's.
var stopping = []os.Signal{
	syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM,
	syscall.SIGWINCH, syscall.SIGUSR1, syscall.Signal(37),
}

// inherited are the signals that the Go runtime leaves ignored where the process
// began so; handled here, they have their default effect on a step.
var inherited = []os.Signal{unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, unix.SIGCONT}

// UntilStopped returns a context that ends with the first signal that ends a
// container, and sees to it that no step begins with a signal ignored.
func UntilStopped(parent context.Context) (context.Context, context.CancelFunc) {
	dropped := make(chan os.Signal, 1)
	signal.Notify(dropped, inherited...)
	ctx, cancel := signal.NotifyContext(parent, stopping...)
	return ctx, func() {
		signal.Stop(dropped)
		cancel()
	}
}
