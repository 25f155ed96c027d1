package suite

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"testing"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/runner"
)

// A Job is a job with containers that is being played: what the runner keeps of
// it from one call to the next. Steps may be played at the same time.
type Job struct {
	// Response is what its prepare_job answered.
	Response runner.Response

	fixture *Fixture
	job     runner.Job

	mu   sync.Mutex
	env  map[string]string
	path []string // of GITHUB_PATH, the newest first
}

// Prepare plays the beginning of a job. The test ends where that fails, and plays
// the job's end if it has not done so by then.
func (f *Fixture) Prepare(t *testing.T, job runner.Job, files harness.Files) *Job {
	t.Helper()
	j, result := f.TryPrepare(t, job, files)
	outcome.Success(t, result)
	return j
}

// TryPrepare is [Fixture.Prepare] for a job that may fail to begin. The runner
// then knows no state.
func (f *Fixture) TryPrepare(t *testing.T, job runner.Job, files harness.Files) (*Job, *harness.Result) {
	t.Helper()
	result := f.Play(t, runner.Step{Command: runner.PrepareJob, Job: &job}, files)
	j := &Job{fixture: f, job: job, env: map[string]string{}}
	if result.ExitCode == 0 {
		var err error
		if j.Response, err = runner.ReadResponse(result.Report.Response, job); err != nil {
			t.Fatal(err)
		}
	}
	return j, result
}

// State is what the runner hands to the later calls.
func (j *Job) State() json.RawMessage { return j.Response.State }

// Step is a step in the job container, as the runner would play it now: with
// what earlier steps left in the environment.
func (j *Job) Step(script runner.Script) runner.Step {
	j.mu.Lock()
	defer j.mu.Unlock()
	script.Prepend = slices.Concat(script.Prepend, j.path)
	return runner.Step{
		Command: runner.RunScriptStep, State: j.State(), Job: &j.job, Script: &script, Env: maps.Clone(j.env),
	}
}

// Run plays run: with a script in the default shell.
func (j *Job) Run(t *testing.T, text string) *harness.Result {
	t.Helper()
	return j.Play(t, j.Step(runner.Script{Text: text}), nil)
}

// Play plays a step of the job and keeps what it left for later ones.
func (j *Job) Play(t *testing.T, s runner.Step, files harness.Files) *harness.Result {
	t.Helper()
	return j.Keep(j.Start(t.Context(), s, files).Wait(t))
}

// Start plays a step and does not wait for its end.
func (j *Job) Start(ctx context.Context, s runner.Step, files harness.Files) *Playing {
	s.State = j.State() // a container step gets it too
	return j.fixture.Start(ctx, s, files)
}

// Keep keeps what a step has left for later ones.
func (j *Job) Keep(r *harness.Result) *harness.Result {
	j.mu.Lock()
	defer j.mu.Unlock()
	maps.Copy(j.env, r.Env)
	for _, dir := range r.Path {
		j.path = slices.Insert(j.path, 0, dir)
	}
	return r
}

// End plays the end of the job, which has to succeed whatever came before.
func (j *Job) End(t *testing.T) *harness.Result {
	t.Helper()
	result := j.fixture.Play(t, runner.Step{Command: runner.CleanupJob, State: j.State()}, nil)
	outcome.Success(t, result)
	return result
}
