package service

import (
	"cmp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"kiln/internal/workpod"
)

// ImageHealth is the HEALTHCHECK of an image. Zero values are Docker's defaults.
type ImageHealth struct {
	// Test is NONE, CMD and a command, or CMD-SHELL and a line for a shell.
	Test                                          []string
	Interval, Timeout, StartPeriod, StartInterval time.Duration
	Retries                                       int
}

// Check is the health check of a service, whole.
type Check struct {
	// Command is what runs in the container.
	Command                        []string
	Interval, Timeout, StartPeriod time.Duration
	// Retries is how many failures in a row make the service unhealthy.
	Retries int
}

// Docker's defaults (moby, daemon/health.go).
const (
	defaultInterval = 30 * time.Second
	defaultTimeout  = 30 * time.Second
	defaultRetries  = 3
)

// Check returns the service's health check: what its options say, and where they
// say nothing what the image does. It is nil where there is none.
func (s Service) Check() *Check {
	o := s.Options.Health
	var image ImageHealth
	shell := []string{"/bin/sh", "-c"}
	if s.Image != nil {
		if s.Image.Health != nil {
			image = *s.Image.Health
		}
		if len(s.Image.Shell) > 0 {
			shell = s.Image.Shell
		}
	}
	command := image.command(shell)
	if o.Command != "" {
		command = append(slices.Clone(shell), o.Command)
	}
	if o.Disabled || len(command) == 0 {
		return nil
	}
	return &Check{
		Command:     command,
		Interval:    cmp.Or(o.Interval, image.Interval, defaultInterval),
		Timeout:     cmp.Or(o.Timeout, image.Timeout, defaultTimeout),
		StartPeriod: cmp.Or(o.StartPeriod, image.StartPeriod),
		Retries:     cmp.Or(o.Retries, image.Retries, defaultRetries),
	}
}

// command is what an image's check runs, nothing for none.
func (h ImageHealth) command(shell []string) []string {
	switch {
	case len(h.Test) < 2:
		return nil
	case h.Test[0] == "CMD":
		return h.Test[1:]
	case h.Test[0] == "CMD-SHELL":
		return append(slices.Clone(shell), h.Test[1])
	}
	return nil
}

// How often a check runs at most and at least.
const (
	minPeriod = time.Second // a kubelet knows no shorter one
	maxPeriod = 5 * time.Second
)

// period is how often the check is run: more often than the author asked, so that
// what is up is seen soon.
func (c *Check) period() time.Duration {
	return min(max(c.Interval/4, minPeriod), maxPeriod).Truncate(time.Second)
}

// successes is how many checks have to pass in a row.
const successes = 2

// probe is the check as the kubelet runs it.
func (c *Check) probe() *corev1.Probe {
	var command []string
	for _, word := range c.Command {
		command = append(command, workpod.Literal(word))
	}
	return &corev1.Probe{
		ProbeHandler:     corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: command}},
		PeriodSeconds:    seconds(c.period()),
		TimeoutSeconds:   seconds(c.Timeout),
		SuccessThreshold: successes,
		FailureThreshold: 1,
	}
}

// seconds rounds up to what a kubelet can count.
func seconds(d time.Duration) int32 {
	const most = 24 * time.Hour
	d = min(d, most)
	return max(int32((d+time.Second-1)/time.Second), 1)
}

// slack is what the kubelet's rounding and the second success cost at most, beside
// two periods.
const slack = 2 * time.Second

// patience is how long after its start a service may fail its check. Docker's is
// never longer.
func (c *Check) patience() time.Duration {
	const most = 24 * time.Hour
	round := min(c.Interval, most) + min(c.Timeout, most)
	return min(c.StartPeriod, most) + time.Duration(min(c.Retries, 1000))*round + successes*c.period() + slack
}
