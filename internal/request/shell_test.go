package request

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"kiln/internal/config"
	"kiln/internal/executor"
	"kiln/internal/failure"
	"kiln/internal/kube/kubetest"
	"kiln/internal/podrun"
	"kiln/internal/registry"
	"kiln/internal/spool"
)

// shellHandler is a handler over a cluster in the namespace ci.
func shellHandler(t *testing.T, kube *kubetest.Client) *Handler {
	t.Helper()
	state, err := spool.OpenState(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	handler, err := New(Options{
		Operator: Operator{
			Settings: &config.Settings{KanikoImage: config.KanikoImage, Executor: "/kaniko/executor", Tag: config.TagContent, BuildUserns: config.UsernsOff, PendingTimeout: time.Minute, BuildTimeout: 2 * time.Minute, ContextMaxBytes: 1 << 20, ContextMaxEntries: 9},
			Flavor:   executor.Flavor{Name: executor.Osscontainertools, Version: "1.28"},
			Registry: registry.NewClient(registry.ClientConfig{}),
		},
		Pods:   podrun.Client{Kube: kube, Namespace: "ci"},
		State:  state,
		Logger: zap.NewNop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

// TestARefusedBuildMakesNothing: neither a Job nor a file is left by a Dockerfile
// that is refused, and nobody is asked.
func TestARefusedBuildMakesNothing(t *testing.T) {
	kube := kubetest.New()
	h := shellHandler(t, kube)
	var log strings.Builder
	order := Order{ID: "abcdefghijklmnop", Context: stagedFile(t, "FROM busybox\nRUNN true\n"), Log: &log, Request: spool.Request{Dockerfile: "Dockerfile", Path: "/w/app/Dockerfile", Workspace: "/w/app"}}
	_, err := h.Build(t.Context(), order)
	if failure.Of(err) != failure.DockerfileSyntax || !strings.Contains(log.String(), "\n::error file=Dockerfile,line=2::Dockerfile:2: ") {
		t.Errorf("error %v, log:\n%s", err, &log)
	}
	built := log.String()
	log.Reset()
	if err := Check(t.Context(), Options{Operator: h.operator, State: h.state, Logger: h.logger}, order); err == nil || afterToken(log.String()) != afterToken(built) {
		t.Errorf("check says otherwise, %v:\n%s", err, &log)
	}
	if ids, err := h.state.Accepted(); err != nil || len(ids) > 0 {
		t.Errorf("left in the state: %v, %v", ids, err)
	}
	if actions := kube.Actions(); len(actions) > 0 {
		t.Errorf("asked the cluster: %v", actions)
	}
}

// TestACancelledBuildSaysWhy it was, and not what failed by that.
func TestACancelledBuildSaysWhy(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := failure.New(failure.Cancelled, "kilnd build was interrupted")
	cancel(cause)
	var log strings.Builder
	_, err := shellHandler(t, kubetest.New()).Build(ctx, Order{
		ID: "abcdefghijklmnop", Context: stagedFile(t, "FROM busybox\nRUN true\n"), Log: &log,
		Request: spool.Request{Dockerfile: "Dockerfile", Path: "/w/app/Dockerfile", Workspace: "/w/app"},
	})
	if !errors.Is(err, cause) || !strings.Contains(log.String(), "kilnd build was interrupted [cancelled]") {
		t.Errorf("error %v, log:\n%s", err, &log)
	}
}

// afterToken cuts off what has a stop token of its own in it.
func afterToken(log string) string {
	_, after, _ := strings.Cut(log, "::endgroup::")
	return after
}

// stagedFile is the staged context of a Dockerfile alone.
func stagedFile(t *testing.T, dockerfile string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "context.tar")
	if err := os.WriteFile(path, staged(t, dockerfile), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
