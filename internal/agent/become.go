package agent

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ActionCommand is the first argument with which the program runs an action.
// The socket of an [Outlet], its token, and the action's command line follow.
const ActionCommand = "action"

// NotStarted begins the line that [RunAction] leaves in the container's
// termination message where there is nothing that it can run.
const NotStarted = "kiln-agent: "

// terminationLog is where the kubelet takes a container's message from, unless the
// pod's specification names another file.
const terminationLog = "/dev/termination-log"

// RunAction runs an action, which prints into the outlet that args name or, where that
// cannot be had within seconds, to where this process prints. Environment, user,
// limits, signals and directory are the action's as the container began with them.
//
// As the first process of a container this one stays, starts the action as its child,
// and tells the outlet how that ended (see [Outlet.Ended]). Where it is not the first,
// has no outlet, or where the action may insist on being the first process, as an init
// does, it becomes the action, and its process id is the action's too.
//
// It returns the action's exit code, or Docker's where the action's program cannot be
// executed.
func RunAction(args []string) int {
	if len(args) < 3 {
		fmt.Fprintln(os.Stderr, NotStarted+ActionCommand+" is for the container of an action")
		return exitNotStarted
	}
	argv := args[2:]
	conn, descriptor, err := takeOutlet(args[0], []byte(args[1]))
	if err != nil { // A step goes without: the log of its container has what it prints.
		return notStarted(execute(argv))
	}
	if err := printTo(descriptor); err != nil {
		return notStarted(&startError{what: "standard output", err: errno(err)})
	}
	if os.Getpid() != 1 || insistsOnFirst(argv) {
		return notStarted(execute(argv))
	}
	code, err := (&parent{conn: conn}).run(argv)
	if own, ok := errors.AsType[*startError](err); ok {
		return notStarted(own)
	}
	return code
}

// execute becomes the program of a command line. It returns why it cannot.
func execute(argv []string) *startError {
	path, err := lookPath(argv[0], ".", os.Getenv("PATH"))
	if err == nil {
		err = syscall.Exec(path, argv, os.Environ())
	}
	if own, ok := errors.AsType[*startError](err); ok {
		return own
	}
	return execError(argv[0], path, err)
}

// notStarted says why there is no action and returns the exit code.
func notStarted(why *startError) int {
	text := NotStarted + why.Error() + "\n"
	if file, err := os.OpenFile(terminationLog, os.O_WRONLY|os.O_APPEND, 0); err == nil {
		_, _ = file.WriteString(text[:min(len(text), maxText)])
		_ = file.Close()
	}
	return why.code()
}

// printTo makes a descriptor the process's standard output and standard error.
func printTo(descriptor int) error {
	defer unix.Close(descriptor)
	return errors.Join(unix.Dup3(descriptor, 1, 0), unix.Dup3(descriptor, 2, 0))
}

// takeOutlet takes the write end that is had at a socket for a token. It is this
// process's then, and the other side knows it. The connection stays for what there is
// to tell of the action's end.
func takeOutlet(socket string, token []byte) (conn net.Conn, descriptor int, err error) {
	err = at(socket, func(short string) (err error) {
		conn, err = net.DialTimeout("unix", short, outletLimit)
		return err
	})
	if err != nil {
		return nil, -1, err
	}
	if descriptor, err = takeFrom(conn, token); err != nil {
		return nil, -1, errors.Join(err, conn.Close())
	}
	return conn, descriptor, nil
}

// takeFrom is takeOutlet behind the connection.
func takeFrom(conn net.Conn, token []byte) (descriptor int, err error) {
	if err := conn.SetDeadline(time.Now().Add(outletLimit)); err != nil {
		return -1, err
	}
	if _, err := conn.Write(frame{kindSecret, token}.append(nil)); err != nil {
		return -1, err
	}
	f, descriptors, err := (&peer{conn}).first()
	switch {
	case err != nil:
		return -1, err
	case f.kind != kindGrant:
		closeAll(descriptors)
		return -1, fmt.Errorf("%w: %q is no outlet's", errForm, byte(f.kind))
	}
	if _, err = conn.Write(frame{kindTaken, []byte{byte(len(descriptors))}}.append(nil)); err == nil && len(descriptors) != 1 {
		err = io.ErrUnexpectedEOF // they were dropped on the way
	}
	if err != nil {
		closeAll(descriptors)
		return -1, err
	}
	return descriptors[0], nil
}
