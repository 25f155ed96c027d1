package imagebuild

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"kiln/internal/preflight"
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
			if _, err := memo.resolve(ctx, ctx, registry, "registry.example.com/kaniko:v1"); !errors.Is(err, want) || registry.times.Load() != int32(times) {
				t.Errorf("%v after %d questions, want %v after %d", err, registry.times.Load(), want, times)
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

// TestExecutorWaits: the registry of Kaniko has as long as those of the bases take, and a
// little more.
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
				const kanikoImage = "registry.example.com/kaniko:v1"
				registry := &asked{takes: map[string]time.Duration{kanikoImage: tt.takes, "base": tt.bases}}
				o := &order{
					builder: &Builder{options: Options{Registry: registry}},
					who:     Asker{Logger: zap.NewNop()},
					plan:    &plan{file: &preflight.File{Images: []preflight.Image{{Reference: "base"}}}},
				}
				o.builder.options.Settings.KanikoImage = kanikoImage
				if err := o.resolve(t.Context()); err != nil {
					t.Fatal(err)
				}
				if known := o.plan.executor != kanikoImage; known != tt.known {
					t.Errorf("the executor is %q", o.plan.executor)
				}
				registry.takes = nil
				if _, err := o.builder.executors.resolve(t.Context(), t.Context(), registry, kanikoImage); (err == nil) != tt.known {
					t.Errorf("and then %v", err)
				}
			})
		})
	}
}

// asked is a registry that resolves every image to the same answer, and counts.
type asked struct {
	Registry
	answer error
	takes  map[string]time.Duration // by image
	times  atomic.Int32
}

// Resolve implements [Registry].
func (a *asked) Resolve(ctx context.Context, image string) (string, error) {
	a.times.Add(1)
	select {
	case <-time.After(a.takes[image]):
		return "", a.answer
	case <-ctx.Done():
		return "", ctx.Err()
	}
}
