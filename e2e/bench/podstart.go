package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"kiln/e2e/harness"
	"kiln/internal/readiness"
)

// podStart is the start of a runner pod, in times since the pod was made.
type podStart struct {
	// runs is when the runner's process began, and seen when the API server knew: that is
	// up to a second later, since the kubelet looks at its containers once a second.
	runs, seen time.Duration
}

// figures are the two in seconds.
func (p podStart) figures() []float64 { return []float64{p.runs.Seconds(), p.seen.Seconds()} }

// starting is startRunner as the play of a trial.
func (s *side) starting(ctx context.Context) ([]float64, error) {
	start, err := s.startRunner(ctx)
	return start.figures(), err
}

// started returns the start of a runner pod that was made at began and has just been seen
// to run.
func (b *bench) started(ctx context.Context, began time.Time, pod string) (podStart, error) {
	start := podStart{seen: time.Since(began)}
	var out, stderr bytes.Buffer
	err := b.Exec(ctx, harness.Exec{
		Namespace: b.namespace, Pod: pod, Container: harness.RunnerContainer,
		Command: []string{"sh", "-c", "cat /proc/[0-9]*/stat; cat /proc/uptime"}, Stdout: &out, Stderr: &stderr,
	})
	if err != nil {
		return podStart{}, fmt.Errorf("read the age of the runner's process: %w: %s", err, stderr.String())
	}
	age, err := oldest(out.String(), "standin")
	start.runs = time.Since(began) - age
	return start, err
}

// oldest returns the age of the oldest process of that name: listing has the stat of each
// process in a line, and the machine's uptime in the last.
func oldest(listing, name string) (age time.Duration, err error) {
	lines := strings.Split(strings.TrimSpace(listing), "\n")
	for _, stat := range lines[:len(lines)-1] {
		if strings.Contains(stat, " ("+name+") ") {
			age = max(age, readiness.ProcessAge(stat, lines[len(lines)-1]))
		}
	}
	if age == 0 {
		return 0, fmt.Errorf("no process %s in %q", name, listing)
	}
	return age, nil
}
