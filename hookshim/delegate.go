package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"kiln/internal/spool"
)

// The variables of the runner container that say who runs what.
const (
	envDelegate = "KILN_DELEGATE"
	envHandle   = "KILN_HANDLE"
	envHook     = "ACTIONS_RUNNER_CONTAINER_HOOKS" // the runner's own: the hook that it calls
)

// A delegate is the path of another container hook, such as the stock one at
// /home/runner/k8s/index.js, which is given every call that kiln does not
// serve. It is empty in sealed mode, where there is none.
type delegate string

// takeOver replaces this process by the delegate, which finds the same
// message on its standard input, the same arguments, environment, working
// directory, process id and limits. So its exit code, its output and the
// runner's signals are its own. A pipe that its output goes to holds more than
// before (see widen). It returns only with an error.
//
// Signals that this process has not asked for are as they were, but for one
// thing: what the runner ignores other than SIGHUP and SIGINT has its default
// effect on the delegate. Go replaces those at the start of a program and
// does not tell (runtime, sigInstallGoHandler).
func (d delegate) takeOver(message []byte) error {
	if err := d.check(); err != nil {
		return err
	}
	command, err := d.interpreter()
	if err != nil {
		return err
	}
	if err := replaceStdin(message); err != nil {
		return fmt.Errorf("hand the runner's message to %s: %w", d, err)
	}
	widen(syscall.Stdout, widePipe)
	argv := append(append(command, string(d)), os.Args[1:]...)
	if err := syscall.Exec(argv[0], argv, os.Environ()); err != nil {
		return fmt.Errorf("run %s=%s with %s: %w", envDelegate, d, argv[0], err)
	}
	return nil
}

// greet leaves in the exchange what this shim finds of the delegate, for `kilnd
// doctor`, which cannot see into the runner container. Nothing depends on it: a
// call that is the delegate's needs no exchange.
func (d delegate) greet() {
	exchange, err := spool.Open(exchangePath())
	if err != nil {
		return
	}
	defer exchange.Close()
	found := spool.Hello{Delegate: string(d)}
	if err := d.usable(); err != nil {
		found.Problem = err.Error()
	}
	_ = exchange.Greet(found)
}

// usable reports why the delegate could not take over.
func (d delegate) usable() error {
	if d == "" {
		return nil
	}
	if err := d.check(); err != nil {
		return err
	}
	_, err := d.interpreter()
	return err
}

// check refuses a delegate that cannot be one. The working directory is the
// workflow's, so a relative path would be too; and a delegate that is kiln
// would hand the call to itself for ever.
func (d delegate) check() error {
	if !filepath.IsAbs(string(d)) {
		return fmt.Errorf("%s is %q: write the absolute path of the stock hook, such as /home/runner/k8s/index.js", envDelegate, d)
	}
	info, err := os.Stat(string(d))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%s is %s, and there is no such file in the runner container: name the stock hook there, or unset it for sealed mode", envDelegate, d)
	case err != nil:
		return fmt.Errorf("%s cannot be used: %w", envDelegate, err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is %s, which is no file: name the stock hook, such as /home/runner/k8s/index.js", envDelegate, d)
	}
	if hook, err := os.Stat(os.Getenv(envHook)); err == nil && os.SameFile(info, hook) {
		return fmt.Errorf("%s and %s both name %s: the delegate is the hook that kiln replaces, such as /home/runner/k8s/index.js", envDelegate, envHook, d)
	}
	return nil
}

// interpreter returns the program and its options that the runner runs a hook
// of this kind with.
func (d delegate) interpreter() ([]string, error) {
	if extension := filepath.Ext(string(d)); extension != ".js" && extension != ".sh" {
		return nil, fmt.Errorf("%s is %s: kiln runs .js and .sh hooks, not %q", envDelegate, d, extension)
	}
	return hookInterpreter(envDelegate, string(d))
}

// hookInterpreter returns the program and its options that the runner runs a .js or .sh
// hook with, which a setting names (actions/runner, ScriptHandler.cs).
func hookInterpreter(setting, hook string) ([]string, error) {
	if filepath.Ext(hook) == ".js" {
		node, err := hookNode(setting, hook)
		return []string{node}, err
	}
	for _, shell := range []string{"bash", "sh"} {
		if path, ok := lookPath(shell); ok {
			return []string{path, "-e"}, nil
		}
	}
	return nil, fmt.Errorf("%s is %s, and neither bash nor sh is on PATH to run it: install one in the runner container", setting, hook)
}

// lookPath finds a program in the absolute directories of PATH.
func lookPath(name string) (string, bool) {
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if path := filepath.Join(dir, name); filepath.IsAbs(dir) && executable(path) {
			return path, true
		}
	}
	return "", false
}

// executable says whether this process may run the file at path.
func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && unix.Access(path, unix.X_OK) == nil
}

// replaceStdin makes data the standard input, from its first byte on. It is a
// file in memory: a pipe holds 64 KiB, and nobody would be left to fill it.
func replaceStdin(data []byte) error {
	file, err := memoryFile("kiln-hook-input")
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := file.Write(data); err != nil {
		return err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return unix.Dup3(int(file.Fd()), syscall.Stdin, 0)
}

// memoryFile makes an anonymous file. Where the kernel wants all of them
// marked as no programs (vm.memfd_noexec=2), it refuses one that is not; where
// it is older than 6.3, it does not know the mark.
func memoryFile(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) {
		fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	}
	if err != nil {
		return nil, fmt.Errorf("create memory file: %w", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}
