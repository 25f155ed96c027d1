package request

import (
	"testing"

	"kiln/internal/hook"
	"kiln/internal/spool"
)

func TestActionName(t *testing.T) {
	for path, want := range map[string]string{
		"":                     "docker.io/library/busybox",
		"/w/app/Dockerfile":    "Dockerfile",
		"/w/app/a/Dockerfile":  "a",
		"/w/_actions/o/r/v1/D": "o/r/v1",
	} {
		s := &step{
			asked:     spool.Request{Path: path, Workspace: "/w/app"},
			container: hook.Container{Image: "docker.io/library/busybox", Dockerfile: path},
		}
		if got := s.actionName(); got != want {
			t.Errorf("actionName of %q = %q, want %q", path, got, want)
		}
	}
}
