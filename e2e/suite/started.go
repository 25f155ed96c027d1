package suite

import (
	"maps"
	"path"
	"testing"

	"kiln/e2e/harness"
	"kiln/e2e/runner"
)

// StartJob plays the start of a job that has downloaded the actions of some steps: the
// files of each, with the runner's mark beside their directory.
func (f *Fixture) StartJob(t *testing.T, downloads ...harness.Files) *harness.Result {
	t.Helper()
	all := harness.Files{}
	for _, files := range downloads {
		maps.Copy(all, files)
		for name := range files {
			if path.Base(name) == "Dockerfile" {
				all[path.Dir(name)+".completed"] = harness.File{Data: []byte("done")}
			}
		}
	}
	return f.Play(t, runner.Step{Command: runner.JobStarted}, all)
}
