package request

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"kiln/internal/buildcontext"
	"kiln/internal/executor"
	"kiln/internal/failure"
	"kiln/internal/preflight"
	"kiln/internal/spool"
)

// TestTriggersAreChecked refuses triggers of a base at its FROM, also for what
// is in the context, and warns of others.
func TestTriggersAreChecked(t *testing.T) {
	for name, tt := range map[string]struct {
		trigger string
		says    string
		log     string
	}{
		"harmless":  {"COPY f /f", "", ""},
		"refused":   {"COPY --parents f /x/", "Dockerfile:2: ONBUILD COPY --parents f /x/, a trigger of base: Kaniko ignores --parents", "2 | FROM base"},
		"a link":    {"COPY l /l", "Dockerfile:2: ONBUILD COPY l /l, a trigger of base: l is a symbolic link to f", "2 | FROM base"},
		"a warning": {"COPY f* /new", "", "line=2::Dockerfile:2: ONBUILD COPY f* /new, a trigger of base: Kaniko copies the files"},
		"no syntax": {"FROM x", "FROM is not allowed", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, log := stepWith()
			s.handler.operator.Settings = failedBuild(t, corev1.ContainerStateTerminated{}).step.handler.operator.Settings
			s.handler.operator.Flavor = executor.Flavor{Name: executor.Osscontainertools, Version: "1.28"}
			s.asked = spool.Request{Path: "/w/app/app/Dockerfile", Workspace: "/w/app/app"}
			state, err := spool.OpenState(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			s.handler.state, s.id = state, "abcdefghijklmnop"
			file, err := preflight.Parse("Dockerfile", []byte("\nFROM base\n"))
			if err != nil {
				t.Fatal(err)
			}
			writeContext(t, s.handler.state.ContextPath(s.id))
			s.log.Shield("Build Dockerfile")
			err = s.checkTriggers(&plan{file: file}, map[string][]string{"base": {tt.trigger}})
			if (err != nil) != (tt.says != "") || err != nil && (failure.Of(err) != failure.UnsupportedInstruction || !strings.Contains(err.Error(), tt.says)) {
				t.Errorf("checkTriggers: %q %v, want %q", failure.Of(err), err, tt.says)
			}
			if !strings.Contains(log.String(), tt.log) {
				t.Errorf("the log has no %q:\n%s", tt.log, log)
			}
		})
	}
}

// writeContext writes a canonical tar of a Dockerfile, two files and a link.
func writeContext(t *testing.T, name string) {
	t.Helper()
	dir := t.TempDir()
	for _, file := range []string{"Dockerfile", "f", "f2"} {
		if err := os.WriteFile(dir+"/"+file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("f", dir+"/l"); err != nil {
		t.Fatal(err)
	}
	var staged bytes.Buffer
	if _, err := buildcontext.Stage(&staged, dir+"/Dockerfile", buildcontext.Limits{}); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := buildcontext.Canonical(out, &staged, buildcontext.Limits{}); err != nil {
		t.Fatal(err)
	}
}
