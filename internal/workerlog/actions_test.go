package workerlog_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kiln/internal/workerlog"
)

// steps is a worker's log with a message that has those steps.
func steps(text string) string {
	return "[2026-11-28 10:00:01Z INFO Worker] Job message:\n {\n  \"steps\": " + text + "\n}\n[2026-11-28 10:00:02Z INFO JobRunner] on\n"
}

const ofOthers = `[
	{"type": "action", "reference": {"type": "repository", "name": "acme/b", "ref": "v1", "repositoryType": "GitHub", "path": "x/y"}},
	{"type": "action", "reference": {"type": 1, "name": "acme/a", "ref": "releases/v2", "repositoryType": "GitHub"}}]`

func TestActions(t *testing.T) {
	none := []workerlog.Action{}
	for name, tt := range map[string]struct {
		log  string
		want []workerlog.Action
	}{
		"of others":       {steps(ofOthers), []workerlog.Action{{Repository: "acme/b", Path: "x/y", Ref: "v1"}, {Repository: "acme/a", Ref: "releases/v2"}}},
		"of the checkout": {steps(`[{"reference": {"type": "repository", "repositoryType": "self", "path": "./x"}}]`), none},
		"scripts":         {steps(`[{"reference": {"type": "script"}}, {"reference": {"type": "containerRegistry", "image": "x"}}, {}]`), none},
		"no steps":        {steps(`null`), none},
		"cut off":         {steps(`[{"reference": {"name": "acme/a"`)[:70], nil},
		"odd":             {steps(`[{"reference": 7}]`), nil},
		"no message":      {"[2026-11-28 10:00:01Z INFO Worker] nothing\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "Worker_20261128-100000-utc.log"), []byte(tt.log), 0o600); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, workerlog.Actions(dir)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
