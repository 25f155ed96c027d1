package imagebuild_test

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"

	gocmp "github.com/google/go-cmp/cmp"

	"kiln/internal/executor"
	"kiln/internal/imagebuild"
	"kiln/internal/steplog"
)

// TestWarnings: the author is told what Kaniko builds otherwise where Kaniko builds it, and
// what holds in any case always, each once.
func TestWarnings(t *testing.T) {
	const chown = "::warning file=Dockerfile,line=3::"
	const docker = "::warning file=Dockerfile,line=2::"
	for name, tt := range map[string]struct {
		dockerfile string
		whole      bool
		want       []string
	}{
		"in the rest":            {"RUN make\nCOPY --chown=app main.c /\n", false, nil},
		"in the rest, no RUN":    {"USER app\nCOPY --chown=app main.c /\n", false, nil},
		"in the rest, by Kaniko": {"RUN make\nCOPY --chown=app main.c /\n", true, []string{chown}},
		"in the base part":       {"USER app\nCOPY --chown=app main.c /\nRUN make\nUSER root\n", false, []string{chown}},
		"nothing for a rest":     {"USER app\nCOPY --chown=app main.c /\nRUN make\n", false, []string{chown}},
		"in no image":            {"RUN make\nCOPY d main.c /data/\n", false, []string{chown}},
		"in no image, no RUN":    {"USER app\nCOPY d /data/\n", false, []string{chown}},
		"in no image, refused":   {"USER app\nCOPY d /data/\nCOPY --exclude=q d /more/\n", false, []string{chown}},
		"in any case":            {"RUN apk add docker-cli\nCOPY --chown=app main.c /\n", false, []string{docker}},
		"in any case, by Kaniko": {"RUN apk add docker-cli\nCOPY --chown=app main.c /\n", true, []string{docker, chown}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newSplitWorld(t)
				w.settings.Assemble = !tt.whole
				w.stage("FROM base.example.com/base:1\n"+tt.dockerfile, "d/", "", "d/.wh.old", "", "main.c", "one")
				r := w.runner("a", nil, nil)
				r.must(t)
				var warned []string
				for line := range strings.Lines(r.log.String()) {
					if head, _, found := strings.Cut(line, "::Dockerfile:"); found && strings.HasPrefix(line, "::warning ") {
						warned = append(warned, head+"::")
					}
				}
				if diff := gocmp.Diff(tt.want, warned); diff != "" {
					t.Errorf("warnings (-want +got):\n%s\n%s", diff, r.log.String())
				}
				var checked bytes.Buffer
				source := w.source
				if err := imagebuild.Check(t.Context(), &source, executor.Flavor{Name: executor.Osscontainertools, Version: "1.28"}, !tt.whole, steplog.New(&checked, "", false)); err != nil {
					t.Fatal(err)
				}
				if n := strings.Count(checked.String(), "::warning "); n != len(tt.want) {
					t.Errorf("a check warns %d times, want %d:\n%s", n, len(tt.want), checked.String())
				}
			})
		})
	}
}
