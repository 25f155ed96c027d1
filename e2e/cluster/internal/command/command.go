// Package command runs the machine's own programs (docker, mmdebstrap, tar,
// iptables) and turns a failure into one line that says which program failed
// and what it printed last.
//
// A cancelled context terminates the program, with SIGTERM first. Nothing is retried, and no shell is
// ever in between: arguments reach the program as they are.
package command

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Options say how a program runs. The zero value runs it in the current
// directory, with the environment of this process and no standard input.
type Options struct {
	// Dir is the working directory; empty means the current one.
	Dir string
	// Env is added to the environment of this process, as "KEY=VALUE".
	Env []string
	// Stdin is what the program reads; nil means nothing.
	Stdin io.Reader
	// Stdout receives what the program writes; nil drops it.
	Stdout io.Writer
}

// Run runs a program to its end. Its standard error is part of the error, not
// of the terminal.
func Run(ctx context.Context, o Options, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stdin, cmd.Stdout = o.Dir, o.Stdin, o.Stdout
	cmd.Env = append(os.Environ(), o.Env...)
	// A program that is asked to end can remove its temporary files.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 15 * time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run %s: %w%s", describe(name, args), err, tail(stderr.String()))
	}
	return nil
}

// Output runs a program and returns what it wrote, without the white space at
// both ends.
func Output(ctx context.Context, name string, args ...string) (string, error) {
	var out bytes.Buffer
	err := Run(ctx, Options{Stdout: &out}, name, args...)
	return strings.TrimSpace(out.String()), err
}

// describe names a call shortly: the program and its first arguments.
func describe(name string, args []string) string {
	const shown = 4
	if len(args) > shown {
		args = append(append([]string{}, args[:shown]...), "...")
	}
	return strings.TrimSpace(name + " " + strings.Join(args, " "))
}

// tail is the end of a program's complaint: enough to act on, not its whole
// output.
func tail(stderr string) string {
	const lines = 6
	all := strings.Split(strings.TrimSpace(stderr), "\n")
	if len(all) == 1 && all[0] == "" {
		return ""
	}
	if len(all) > lines {
		all = all[len(all)-lines:]
	}
	return ": " + strings.Join(all, "\n  ")
}
