package request

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"kiln/internal/buildcontext"
	"kiln/internal/executor"
	"kiln/internal/failure"
)

// What the context decides ends a step before a pod starts, each for its reason.
func TestCheckLooksIntoTheContext(t *testing.T) {
	tree := buildcontext.NewTree(buildcontext.Node{Path: "f"}, buildcontext.Node{Path: "l", Link: "f"})
	for name, tt := range map[string]struct {
		dockerfile string
		reason     failure.Reason
		says       string
	}{
		"nothing":  {"FROM a\nCOPY f /f\n", "", ""},
		"a link":   {"FROM a\nCOPY l /f\n", failure.UnsupportedInstruction, "Dockerfile:2: l is a symbolic link to f: Docker copies what a link leads to"},
		"missing":  {"FROM a\nCOPY f g /f/\n", failure.SourceMissing, "Dockerfile:2: g is not in the build context"},
		"a syntax": {"FROM a\nCOPY g\n", failure.DockerfileSyntax, "Dockerfile:2: "},
	} {
		t.Run(name, func(t *testing.T) {
			b := failedBuild(t, corev1.ContainerStateTerminated{})
			b.step.handler.operator.Flavor = executor.Flavor{Name: executor.Osscontainertools, Version: "1.28"}
			_, err := b.step.check([]byte(tt.dockerfile), tree)
			if failure.Of(err) != tt.reason || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("check: %q %v, want %q and %q", failure.Of(err), err, tt.reason, tt.says)
			}
			if _, err := b.step.check([]byte(tt.dockerfile), nil); tt.reason != failure.DockerfileSyntax && err != nil {
				t.Errorf("check without a context: %v", err)
			}
		})
	}
}
