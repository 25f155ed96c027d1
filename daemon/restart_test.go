package main

import (
	"bytes"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kiln/internal/action"
	"kiln/internal/podtest"
	"kiln/internal/spool"
)

// paced is an action that prints some lines and goes on when it is told to, so often.
func paced(turns <-chan struct{}, count int) func(*podtest.Life) {
	return func(life *podtest.Life) {
		await := func() bool {
			select {
			case <-turns:
				return true
			case <-life.Deleted():
				return false
			}
		}
		if !await() {
			return
		}
		life.Start(action.ContainerName)
		for turn := range count {
			life.Print(action.ContainerName, fmt.Sprintf("turn %d", turn), "the same line", "the same line")
			life.Write(action.ContainerName, "half ")
			if !await() {
				life.Exit(action.ContainerName, 143)
				return
			}
			life.Print(action.ContainerName, "a line", "::stop-commands::0123456789abcdef", "::0123456789abcdef::")
		}
		life.Write(action.ContainerName, "an end")
		life.Exit(action.ContainerName, 7)
	}
}

// seconds are the times in the last line of a step.
var seconds = regexp.MustCompile(`\d+\.\d\ds`)

// pacedStep plays a step with the paced action, calls between before each of its turns,
// and returns what the shim printed, without times.
func pacedStep(t *testing.T, between func(s *sidecar, turn int)) (int, string) {
	t.Helper()
	const count = 3
	turns := make(chan struct{})
	s := newSidecar(t, paced(turns, count))
	s.start()
	draft := s.drop()
	var log bytes.Buffer
	for turn := range count + 1 {
		want := fmt.Sprintf("turn %d\nthe same line\nthe same line\n", turn-1)
		s.await("the action's output", func() bool {
			s.must(draft.Print(&log))
			return turn == 0 && len(s.cluster.Pods()) == 2 || strings.HasSuffix(log.String(), want)
		})
		between(s, turn)
		select {
		case turns <- struct{}{}:
		case <-time.After(patience):
			t.Fatalf("the action does not go on:\n%s", s.said())
		}
	}
	var found spool.Result
	s.await("a result", func() bool {
		result, ok, err := draft.Result(&log)
		s.must(err)
		found = result
		return ok
	})
	if found.Message != "" {
		t.Errorf("the result says %q", found.Message)
	}
	between(s, count+1)
	s.clean(draft)
	s.await("the end of what the state keeps", func() bool {
		kept, err := filepath.Glob(filepath.Join(s.state(), "*", "*.json"))
		return err == nil && len(kept) == 0
	})
	return found.ExitCode, seconds.ReplaceAllString(strings.ReplaceAll(log.String(), s.images, "registry"), "0.00s")
}

// state is the directory of the daemon's state.
func (s *sidecar) state() string {
	for _, setting := range s.env {
		if dir, ok := strings.CutPrefix(setting, "KILN_STATE="); ok {
			return dir
		}
	}
	return ""
}

// TestRestartUnderAStep kills the worker, or all of kilnd, before each turn of an action
// and after its end: the shim prints and ends as if nobody had.
func TestRestartUnderAStep(t *testing.T) {
	code, undisturbed := pacedStep(t, func(*sidecar, int) {})
	if code != 7 || !strings.Contains(undisturbed, "turn 2") {
		t.Fatalf("undisturbed: %d, %q", code, undisturbed)
	}
	worker := func(s *sidecar) { s.must(unix.Kill(s.worker(), unix.SIGKILL)) }
	container := func(s *sidecar) { _ = s.kill(unix.SIGKILL); s.start() }
	for name, kill := range map[string]func(*sidecar){"the worker": worker, "the container": container} {
		for at := range 5 {
			t.Run(fmt.Sprintf("%s, %d", name, at), func(t *testing.T) {
				t.Parallel()
				code, log := pacedStep(t, func(s *sidecar, turn int) {
					if turn == at {
						kill(s)
					}
				})
				if code != 7 || log != undisturbed {
					t.Errorf("code %d, log\n%s\nwant 7 and\n%s", code, log, undisturbed)
				}
			})
		}
		t.Run(name+", always", func(t *testing.T) {
			t.Parallel()
			code, log := pacedStep(t, func(s *sidecar, _ int) { kill(s) })
			if code != 7 || log != undisturbed {
				t.Errorf("code %d, log\n%s\nwant 7 and\n%s", code, log, undisturbed)
			}
		})
	}
}
