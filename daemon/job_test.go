package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"kiln/internal/hook"
	"kiln/internal/job"
	"kiln/internal/podtest"
	"kiln/internal/spool"
)

// jobRuns is a job container that runs until it is deleted.
func jobRuns(life *podtest.Life) {
	if life.Pod().Name == "runner-1" {
		return
	}
	life.Start(job.ContainerName)
	<-life.Deleted()
	life.Exit(job.ContainerName, 0)
}

// dropCall hands over a call about a whole job.
func (s *sidecar) dropCall(call string, args any) *spool.Draft {
	s.t.Helper()
	text, err := json.Marshal(args)
	s.must(err)
	draft, err := s.exchange.NewDraft()
	s.must(err)
	s.must(draft.Drop(spool.Request{Call: call, Args: text, Job: &spool.Job{Dir: strings.Repeat("0a", 16)}}))
	return draft
}

// debianJob is what a runner asks for.
func debianJob() map[string]any {
	return map[string]any{"services": []any{}, "container": map[string]any{
		"image": "debian:12", "workingDirectory": "/__w/app/app", "registry": nil,
		"environmentVariables": map[string]any{"HOME": "/github/home", "NOTHING": nil},
		"systemMountVolumes": []hook.Mount{
			{SourceVolumePath: "/home/runner/_work", TargetVolumePath: "/__w"},
			{SourceVolumePath: "/home/runner/_work/_temp/_github_home", TargetVolumePath: "/github/home"},
		},
	}}
}

// kindsLeft is what the cluster holds beside the runner pod, by kind.
func (s *sidecar) kindsLeft() string {
	var kinds []string
	for _, name := range s.cluster.Names() {
		if kind, _, _ := strings.Cut(name, "/"); name != "pods/runner-1" {
			kinds = append(kinds, kind)
		}
	}
	return strings.Join(kinds, " ")
}

// TestWorkerPreparesJobs takes a job through the daemon as it is built: it is prepared,
// outlives the worker and the container of the daemon, is explained when its container
// was killed, and is cleaned up, also once more.
func TestWorkerPreparesJobs(t *testing.T) {
	s := newSidecar(t, jobRuns)
	s.start()
	prepare := s.dropCall(hook.PrepareJob, debianJob())
	got, log := s.result(prepare)
	var response job.Response
	if got.ExitCode != 0 || json.Unmarshal(got.Response, &response) != nil || response.State.Kiln == nil {
		t.Fatalf("exit code %d, response %s, log %q", got.ExitCode, got.Response, log)
	}
	if response.State.Kiln.Address != podtest.IP+":8177" || response.Context.Services == nil || !strings.Contains(log, "::group::Starting job container\n") {
		t.Errorf("response %s, log %q", got.Response, log)
	}
	prepare.Remove()
	s.must(unix.Kill(s.worker(), unix.SIGKILL))
	_ = s.kill(unix.SIGKILL)
	s.start()
	if left := s.kindsLeft(); left != "pods secrets" {
		t.Errorf("after a restart the cluster has %v", s.cluster.Names())
	}
	s.cluster.Delete("pods", response.State.JobPod)
	explain := s.dropCall(hook.ExplainJob, map[string]any{})
	got, log = s.result(explain)
	if got.ExitCode != 137 || !strings.Contains(log, "the job's pod was deleted while the job ran") || !strings.Contains(log, "[node_lost]") {
		t.Errorf("explained with exit code %d, log %q", got.ExitCode, log)
	}
	explain.Remove()
	for range 2 {
		cleanup := s.dropCall(hook.CleanupJob, map[string]any{})
		got, log = s.result(cleanup)
		if got.ExitCode != 0 || strings.Contains(log, "::warning::") {
			t.Errorf("cleaned up with exit code %d, log %q", got.ExitCode, log)
		}
		s.clean(cleanup)
	}
}

// TestWorkerRefusesJobs: a job that cannot be prepared says why and leaves nothing.
func TestWorkerRefusesJobs(t *testing.T) {
	s := newSidecar(t, func(life *podtest.Life) {
		if life.Pod().Name != "runner-1" {
			life.Waits(job.ContainerName, "ErrImagePull", "no match for platform in manifest")
			<-life.Deleted()
		}
	})
	s.start()
	privileged := debianJob()
	privileged["container"].(map[string]any)["createOptions"] = "--privileged"
	for _, tt := range []struct {
		call string
		args any
		says string
	}{
		{hook.PrepareJob, debianJob(), "no match for platform in manifest"},
		{hook.PrepareJob, privileged, "options: --privileged: not allowed here"},
		{hook.PrepareJob, []string{}, "[bad_request]"},
		{"burn_job", map[string]any{}, `the daemon does not know the call "burn_job"`},
		{hook.ExplainJob, map[string]any{}, "the job has no pod"},
	} {
		draft := s.dropCall(tt.call, tt.args)
		got, log := s.result(draft)
		if got.ExitCode != 1 || !strings.Contains(log, tt.says) || len(got.Response) > 0 && !slices.Equal(got.Response, []byte("null")) {
			t.Errorf("%s: exit code %d, response %s, log %q", tt.call, got.ExitCode, got.Response, log)
		}
		s.clean(draft)
	}
}
