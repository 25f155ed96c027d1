package candidate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"kiln/internal/gate"
	"kiln/internal/kaniko"
)

// gateAddress is where the executor looks for the gate.
const gateAddress = "127.0.0.1:5001"

// startGate runs the gate of a build. The functions stop it and return what it
// has logged.
func startGate(ctx context.Context, build kaniko.Build) (stop func() error, log func() string, err error) {
	out := &lines{}
	var inspect []gate.Inspection
	for _, text := range build.Inspect {
		parsed, err := gate.ParseInspection(text)
		if err != nil {
			return nil, nil, err
		}
		inspect = append(inspect, parsed)
	}
	g, err := gate.New(gate.Config{
		Push: build.Push, Pull: build.Pulls, Inspect: inspect, Mirrors: build.Mirrors, Insecure: build.Insecure,
		Log: out, Retries: []time.Duration{},
	})
	if err != nil {
		return nil, nil, fmt.Errorf("configure the gate: %w", err)
	}
	listener, err := net.Listen("tcp", gateAddress)
	if err != nil {
		return nil, nil, fmt.Errorf("start the gate: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- g.Serve(ctx, listener) }()
	stop = func() error {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("serve the gate: %w", err)
		}
		return nil
	}
	return stop, out.String, nil
}

// lines is a buffer for more than one goroutine.
type lines struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

// Write implements [io.Writer].
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buffer.Write(p)
}

// String returns what was written so far.
func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buffer.String()
}
