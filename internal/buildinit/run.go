package buildinit

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"

	"kiln/internal/children"
)

// Exit codes besides the program's own, as shells have them.
const (
	ExitNotExecutable = 126
	ExitNotFound      = 127
	ExitSignalled     = 128 // and the signal's number
)

// Prefix begins each line of this process in the container's log.
const Prefix = "kiln-init: "

// forwarded are the signals that are the program's: those by which runtimes and
// people end a container or ask something of it.
var forwarded = []os.Signal{
	syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2,
}

// Run starts the program argv[0], an absolute path, waits for its end and
// returns its exit code: 128 and more for one that a signal ended. It writes to
// log, one line each time, where the program cannot be started and where a
// signal ended it. It reaps every child of the process, so there must be no
// other user of them, and returns without waiting for those that are left.
func Run(log io.Writer, argv []string) int {
	if len(argv) == 0 {
		fmt.Fprintln(log, Prefix+"no program to start")
		return ExitNotFound
	}
	if err := children.Adopt(); err != nil {
		fmt.Fprintf(log, Prefix+"ended processes may stay: %v\n", err)
	}
	own := children.Own()
	defer own.Release()
	signals := make(chan os.Signal, len(forwarded))
	signal.Notify(signals, forwarded...)
	defer signal.Stop(signals)
	// It has this process's own descriptors.
	child, err := own.Start(argv[0], argv, &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}})
	if err != nil {
		fmt.Fprintf(log, Prefix+"cannot start %s: %v\n", argv[0], err)
		return startFailure(err)
	}
	go func() {
		for s := range signals {
			_ = child.Signal(s.(syscall.Signal)) // it may have ended
		}
	}()
	status := child.Wait()
	if status.Signaled() {
		fmt.Fprintf(log, Prefix+"%s was ended by the signal %q\n", argv[0], status.Signal())
		return ExitSignalled + int(status.Signal())
	}
	return status.ExitStatus()
}

// startFailure is the exit code of a program that was not started.
func startFailure(err error) int {
	if errors.Is(err, syscall.ENOENT) {
		return ExitNotFound
	}
	return ExitNotExecutable
}

// Join makes standard error the same pipe as standard output, and lets
// everybody open that one: it is made with the mode 0600. Where standard output
// is no pipe, as in a shell, it is left as it is.
func Join() error {
	if err := unix.Dup3(1, 2, 0); err != nil {
		return fmt.Errorf("join standard output and standard error: %w", err)
	}
	var about unix.Stat_t
	if err := unix.Fstat(1, &about); err != nil {
		return fmt.Errorf("look at standard output: %w", err)
	}
	if about.Mode&unix.S_IFMT != unix.S_IFIFO {
		return nil
	}
	if err := unix.Fchmod(1, 0o666); err != nil {
		return fmt.Errorf("open standard output to every user: %w", err)
	}
	return nil
}
