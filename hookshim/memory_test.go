package main

import (
	"strings"
	"testing"

	"kiln/internal/agent"
	"kiln/internal/failure"
)

// TestOutOfMemory names the limit, where there is one.
func TestOutOfMemory(t *testing.T) {
	for limit, want := range map[uint64]string{0: "than its node has:", 128 << 20: "than its limit of 128Mi:"} {
		s := scriptStep{}
		code, err := s.end(t.Context(), agent.Outcome{Code: 137, OutOfMemory: true, MemoryLimit: limit})
		if code != 137 || failure.Of(err) != failure.OutOfMemory || !strings.Contains(err.Error(), want) {
			t.Errorf("%d, %v; want %q", code, err, want)
		}
	}
	s := scriptStep{}
	if code, err := s.end(t.Context(), agent.Outcome{OutOfMemory: true}); code != 0 || err != nil {
		t.Errorf("a step that went on: %d, %v", code, err)
	}
}
