package imagebuild

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestPin(t *testing.T) {
	const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for reference, want := range map[string]string{
		"alpine":                           "index.docker.io/library/alpine:latest@" + digest,
		"ghcr.io/acme/base:3.20":           "ghcr.io/acme/base:3.20@" + digest,
		"localhost:5000/x:y":               "localhost:5000/x:y@" + digest,
		"ghcr.io/acme/base@" + digest:      "ghcr.io/acme/base@" + digest,
		"ghcr.io/acme/base:3.20@" + digest: "ghcr.io/acme/base:3.20@" + digest,
	} {
		if got, err := pin(reference, digest); err != nil || got != want {
			t.Errorf("pin(%q) = %q, %v; want %q", reference, got, err, want)
		}
	}
	if _, err := pin("Not An Image", digest); err == nil {
		t.Error("what is no reference was pinned")
	}
}

// TestExecutorMemo: a registry that does not answer is left alone for a while;
// a step that was cancelled says nothing of it.
func TestExecutorMemo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := errors.New("no route")
		registry := &asked{answer: context.Canceled}
		var memo executorMemo
		ask := func(want error, times int) {
			t.Helper()
			if _, err := memo.resolve(t.Context(), registry, "registry.example.com/kaniko:v1"); !errors.Is(err, want) || registry.times != times {
				t.Errorf("%v after %d questions, want %v after %d", err, registry.times, want, times)
			}
		}
		ask(context.Canceled, 1)
		registry.answer = away
		ask(away, 2)
		ask(away, 2)
		time.Sleep(executorRetry)
		registry.answer = nil
		ask(nil, 3)
		ask(nil, 4)
	})
}

// asked is a registry that resolves every image to the same answer, and counts.
type asked struct {
	Registry
	answer error
	times  int
}

// Resolve implements [Registry].
func (a *asked) Resolve(context.Context, string) (string, error) {
	a.times++
	return "", a.answer
}
