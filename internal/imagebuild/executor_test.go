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
		ask := func(ctx context.Context, want error, times int) {
			t.Helper()
			if _, err := memo.resolve(ctx, nil, registry, "registry.example.com/kaniko:v1"); !errors.Is(err, want) || registry.times != times {
				t.Errorf("%v after %d questions, want %v after %d", err, registry.times, want, times)
			}
		}
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		ask(cancelled, context.Canceled, 1)
		registry.answer = away
		ask(t.Context(), away, 2)
		ask(t.Context(), away, 2)
		time.Sleep(executorRetry)
		registry.answer = nil
		ask(t.Context(), nil, 3)
		ask(t.Context(), nil, 4)
	})
}

// TestExecutorWaits: the registry has as long as those of the bases take, and a little
// more.
func TestExecutorWaits(t *testing.T) {
	for name, tt := range map[string]struct {
		bases, takes time.Duration
		known        bool
	}{
		"at once":               {0, 0, true},
		"in time":               {0, executorTimeout - 1, true},
		"late":                  {0, executorTimeout + 1, false},
		"late as the bases are": {time.Minute, time.Minute + executorTimeout - 1, true},
		"later":                 {time.Minute, time.Minute + executorTimeout + 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bases := make(chan struct{})
				time.AfterFunc(tt.bases, func() { close(bases) })
				registry, memo := &asked{takes: tt.takes}, executorMemo{}
				_, err := memo.resolve(t.Context(), bases, registry, "registry.example.com/kaniko:v1")
				registry.takes = 0
				_, again := memo.resolve(t.Context(), bases, registry, "registry.example.com/kaniko:v1")
				if (err == nil) != tt.known || (again == nil) != tt.known || (registry.times == 2) != tt.known {
					t.Errorf("%v, and then %v after %d questions", err, again, registry.times)
				}
			})
		})
	}
}

// asked is a registry that resolves every image to the same answer, and counts.
type asked struct {
	Registry
	answer error
	takes  time.Duration
	times  int
}

// Resolve implements [Registry].
func (a *asked) Resolve(ctx context.Context, _ string) (string, error) {
	a.times++
	select {
	case <-time.After(a.takes):
		return "", a.answer
	case <-ctx.Done():
		return "", ctx.Err()
	}
}
