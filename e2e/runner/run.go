package runner

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// outputGrace is how long the worker waits for a hook's output to be closed
// once the hook's process is gone.
const outputGrace = 5 * time.Second

// Run prepares the work folder and runs the hook script for the step with the
// interpreter, working folder, environment and input that the worker gives it.
// The hook's output, both streams merged, goes to log as it comes.
//
// A hook that fails is no error: its exit code is in the report. An error
// means that the stand-in itself could not do its part.
func (w WorkFolder) Run(ctx context.Context, hook string, s Step, log io.Writer) (*Report, error) {
	if err := w.Prepare(s); err != nil {
		return nil, err
	}
	input, err := w.Message(s)
	if err != nil {
		return nil, err
	}
	out := newOutput(log, s.Interrupt)
	cmd := exec.CommandContext(ctx, "bash", "-e", hook)
	cmd.Dir = w.path(workspaceDir(s))
	cmd.Env = w.hookEnv(s)
	if s.Command != JobStarted {
		cmd.Stdin = bytes.NewReader(input)
	}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.WaitDelay = outputGrace
	report := &Report{}
	if s.Raw == nil && s.Command != JobStarted {
		report.Message = bytes.TrimSpace(input)
	}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start hook: %w", err)
	}
	ended := make(chan struct{})
	stopped := interrupt(cmd.Process, s.Interrupt, out.seen, ended)
	err = cmd.Wait()
	report.Duration = time.Since(start)
	close(ended)
	if at := <-stopped; !at.IsZero() {
		report.Stopped = time.Since(at)
	}
	report.OutputHeld = errors.Is(err, exec.ErrWaitDelay)
	report.ExitCode, report.Signal = exitStatus(cmd.ProcessState)
	report.OutputBytes, report.OutputSHA256 = out.sum()
	return report, w.readBack(s, report)
}

// hookEnv is the environment of the hook's process: the worker's own, the
// context with host paths, and the two marks of a runner.
func (w WorkFolder) hookEnv(s Step) []string {
	add := w.context(s)
	add["GITHUB_ACTIONS"] = "true"
	add["CI"] = "true"
	add["RUNNER_TRACKING_ID"] = "github_" + s.ID
	maps.Copy(add, s.HookEnv)
	env := os.Environ()
	for _, name := range slices.Sorted(maps.Keys(add)) {
		env = append(env, name+"="+add[name])
	}
	return env
}

// interrupt waits until the output shows the text, then sends the signals.
// The channel it returns gives the time of the first one, zero if none was
// sent, once the process has ended.
func interrupt(p *os.Process, i *Interrupt, seen, ended <-chan struct{}) <-chan time.Time {
	first := make(chan time.Time, 1)
	go func() {
		var at time.Time
		defer func() { first <- at }()
		if i == nil {
			<-ended
			return
		}
		if !await(i, seen, ended) {
			return
		}
		at = time.Now()
		for _, s := range i.Signals {
			// The process may be gone by now; Wait tells how it ended.
			_ = p.Signal(signalByName(s.Name))
			select {
			case <-time.After(s.Wait):
			case <-ended:
				return
			}
		}
		<-ended
	}()
	return first
}

// await waits for what the interrupt is to come after; it is false when the
// process ended before.
func await(i *Interrupt, seen, ended <-chan struct{}) bool {
	var look <-chan time.Time
	if i.Path != "" {
		ticker := time.NewTicker(2 * time.Millisecond)
		defer ticker.Stop()
		look = ticker.C
	}
	for {
		select {
		case <-seen:
			return true
		case <-ended:
			return false
		case <-look:
			if hasContent(i.Path) {
				return true
			}
		}
	}
}

// hasContent says whether a file that matches the pattern is not empty.
func hasContent(pattern string) bool {
	files, err := filepath.Glob(pattern)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(files, func(name string) bool {
		info, err := os.Stat(name)
		return err == nil && info.Size() > 0
	})
}

func signalByName(name string) syscall.Signal {
	switch name {
	case "INT":
		return syscall.SIGINT
	case "TERM":
		return syscall.SIGTERM
	default:
		return syscall.SIGKILL
	}
}

// exitStatus gives the code a shell would: 128 plus the number of a signal.
func exitStatus(state *os.ProcessState) (code int, signal string) {
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal()), ws.Signal().String()
	}
	return state.ExitCode(), ""
}

// output passes the hook's output on, counts and hashes it, and looks for the
// text that an interrupt waits for. Exec's copier is its only writer.
type output struct {
	log   io.Writer
	hash  hashWriter
	after string
	tail  string
	seen  chan struct{}
	found bool
}

func newOutput(log io.Writer, i *Interrupt) *output {
	o := &output{log: log, hash: hashWriter{sum: sha256.New()}, seen: make(chan struct{})}
	if i != nil {
		o.after = i.After
	}
	return o
}

// Write implements [io.Writer].
func (o *output) Write(p []byte) (int, error) {
	if _, err := o.hash.Write(p); err != nil {
		return 0, err
	}
	if o.after != "" && !o.found {
		// Keep enough of the past to find a text that two writes split.
		o.tail += string(p)
		if o.found = strings.Contains(o.tail, o.after); o.found {
			close(o.seen)
		}
		o.tail = o.tail[max(0, len(o.tail)-len(o.after)):]
	}
	return o.log.Write(p)
}

func (o *output) sum() (int64, string) {
	return o.hash.n, hex.EncodeToString(o.hash.sum.Sum(nil))
}

// hashWriter counts what it hashes.
type hashWriter struct {
	sum interface {
		io.Writer
		Sum([]byte) []byte
	}
	n int64
}

// Write implements [io.Writer].
func (h *hashWriter) Write(p []byte) (int, error) {
	h.n += int64(len(p))
	return h.sum.Write(p)
}
