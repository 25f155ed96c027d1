package main

import (
	"context"
	"time"
)

// A trial measures figures of one side, once.
type trial struct {
	figures []string
	play    func(context.Context) ([]float64, error)
}

// trials are those of one round, in this order: each builds on those before it.
func (s *side) trials() []trial {
	return []trial{
		{[]string{"runner pod: create → runner runs, s", "… → seen running, s"}, s.starting},
		{[]string{"kilnd, idle at first, MiB"}, s.idle},
		{[]string{"cold: hook starts → hook exits, s"}, seconds(s.cold)},
		{[]string{"Dockerfile built before: hook starts → hook exits, s"}, seconds(s.reused)},
		{[]string{"image on the node: hook starts → hook exits, s"}, seconds(s.readyImage)},
		{[]string{"kiln-hook: start → exit on a malformed message, s"}, seconds(s.bench.hookStart)},
		{[]string{"kilnd, idle after three steps, MiB"}, s.idle},
		{[]string{
			"Debian base, 4 RUN lines, cold: hook starts → hook exits, s", "… executor's peak memory, MiB",
			"… runner pod sends, MB", "… runner pod receives, MB",
		}, s.large},
		{[]string{"kiln-hook, MB"}, s.size},
		{gateFigures(), s.gate},
	}
}

// seconds makes the play of a trial that takes a time.
func seconds(measure func(context.Context) (time.Duration, error)) func(context.Context) ([]float64, error) {
	return func(ctx context.Context) ([]float64, error) {
		took, err := measure(ctx)
		return []float64{took.Seconds()}, err
	}
}
