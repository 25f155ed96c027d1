package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// mostProgram is what an idle worker may have of its own program in memory, in KiB. Its
// start and a step touch more than 20 MiB each. Some of that comes back at once: pages are
// given back once, and not everything is over by then.
const mostProgram = 16 << 10

// TestIdleMemory: a worker that waits gives the pages of its program back, after its start
// and after a step.
func TestIdleMemory(t *testing.T) {
	s := newSidecar(t, greets)
	s.start()
	worker := s.worker()
	small := func() bool { return programOf(t, worker) <= mostProgram }
	s.await("an idle worker's program leaving memory", small)
	draft := s.drop()
	if got, log := s.result(draft); got.ExitCode != 3 {
		t.Errorf("exit code %d, log %q; want 3", got.ExitCode, log)
	}
	s.clean(draft)
	s.await("its program leaving memory after a step", small)
}

// programOf is how much of files a process has mapped to memory, in KiB.
func programOf(t *testing.T, pid int) (kib int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if size, found := strings.CutPrefix(line, "RssFile:"); found {
			if _, err := fmt.Sscan(size, &kib); err != nil {
				t.Fatal(err)
			}
		}
	}
	return kib
}
