package failure_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"testing"

	"kiln/internal/failure"
)

func TestReasons(t *testing.T) {
	name, seen := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`), map[failure.Reason]bool{}
	for _, r := range failure.Reasons() {
		if !name.MatchString(string(r)) || seen[r] {
			t.Errorf("%q is no name, or is listed twice", r)
		}
		seen[r] = true
		if r.Hint() == "" || r.Actor() == "" {
			t.Errorf("%s: no hint or nobody to act", r)
		}
	}
	if r := failure.Reason("x"); r.Retry() || r.Hint() != failure.Internal.Hint() {
		t.Errorf("an unknown reason is not taken as internal")
	}
}

// What the author, the operator or a RUN step caused is the same a second time.
func TestOnlyInfrastructureIsRetried(t *testing.T) {
	retried := map[failure.Reason]bool{
		failure.ContextTransport: true, failure.RegistryUnreachable: true,
		failure.ClusterUnreachable: true, failure.Evicted: true, failure.NodeLost: true,
	}
	for _, r := range failure.Reasons() {
		if r.Retry() != retried[r] {
			t.Errorf("%s: Retry() = %v", r, r.Retry())
		}
		delete(retried, r)
	}
	if len(retried) > 0 {
		t.Errorf("not among the reasons: %v", retried)
	}
}

// The set is closed: each constant is in it.
func TestReasonsAreAll(t *testing.T) {
	source, err := os.ReadFile("reason.go")
	if err != nil {
		t.Fatal(err)
	}
	constants := regexp.MustCompile(`(?m)^\t\w+ +Reason = "(\w+)"`).FindAllStringSubmatch(string(source), -1)
	for _, constant := range constants {
		if !slices.Contains(failure.Reasons(), failure.Reason(constant[1])) {
			t.Errorf("%s is not among the reasons", constant[1])
		}
	}
	if len(constants) != len(failure.Reasons()) || len(constants) == 0 {
		t.Errorf("%d constants, %d reasons", len(constants), len(failure.Reasons()))
	}
}

func TestOf(t *testing.T) {
	evicted := failure.New(failure.Evicted, "the node said: %w", io.ErrUnexpectedEOF)
	for _, tt := range []struct {
		err  error
		want failure.Reason
	}{
		{nil, ""},
		{io.EOF, failure.Internal},
		{evicted, failure.Evicted},
		{fmt.Errorf("build: %w", evicted), failure.Evicted},
		{fmt.Errorf("build: %w", context.Canceled), failure.Cancelled},
		{fmt.Errorf("build: %w", context.DeadlineExceeded), failure.Deadline},
		{failure.New(failure.NodeLost, "no answer: %w", context.DeadlineExceeded), failure.NodeLost},
		{failure.New(failure.Internal, "outer: %w", evicted), failure.Internal},
	} {
		if got := failure.Of(tt.err); got != tt.want {
			t.Errorf("Of(%v) = %q, want %q", tt.err, got, tt.want)
		}
	}
	if !errors.Is(evicted, io.ErrUnexpectedEOF) || evicted.Error() != "the node said: unexpected EOF" {
		t.Errorf("%q does not carry its cause", evicted)
	}
}
