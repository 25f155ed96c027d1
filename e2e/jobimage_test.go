//go:build e2e

package e2e_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"k8s.io/apimachinery/pkg/watch"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/runner"
	"kiln/e2e/suite"
)

// busyboxPath is that of busybox, with a directory of the image's own before it.
const busyboxPath = "PATH=/opt/own/bin:/bin:/usr/bin"

// TestJobImages plays short jobs in images of which each lacks or brings
// something. The Node.js of the runner is a script that says how it was called:
// what it takes to start the real one is the loader's to say.
func TestJobImages(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "job-images", nil)
	for _, tt := range []struct {
		name string
		run  func(*testing.T, *suite.Fixture)
	}{
		{"user, environment and entrypoint", imageConfigOfJob},
		{"options", userOptionOfJob},
		{"JavaScript", javaScriptOfJob},
		{"musl", muslOfJob},
		{"no shell", bareImageOfJob},
		{"no such image", noImageOfJob},
		{"names of images", imageNamesOfJob},
		{"memory and devices", memoryOfJob},
		{"limits", limitsOfJob},
		{"ulimits", ulimitsOfJob},
		{"size", agentSize},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, f) })
	}
	f.WantNothingLeft(t)
}

// prepare plays the beginning of a job in an image.
func prepare(t *testing.T, f *suite.Fixture, c runner.Container, files harness.Files) *suite.Job {
	t.Helper()
	j := f.Prepare(t, runner.Job{Container: &c, Externals: externals}, files)
	if files != nil {
		placeNodes(t, f)
	}
	return j
}

// placeNodes moves what [nodes] brought to where the runner has its externals.
func placeNodes(t *testing.T, f *suite.Fixture) {
	t.Helper()
	if _, err := f.Run(t.Context(), "cp", "-rT", suite.WorkFolder+"/new", externals); err != nil {
		t.Fatal(err)
	}
}

// imageConfigOfJob: steps run as the image's user with its environment, and its
// entrypoint does not run.
func imageConfigOfJob(t *testing.T, f *suite.Fixture) {
	image := f.Image(t, v1.Config{User: "1234:1234", Entrypoint: []string{"/other", "fail"}, Env: []string{busyboxPath, "GOPATH=/go", "OF_IMAGE=set"}})
	j := prepare(t, f, runner.Container{Image: image, Env: map[string]string{"OF_IMAGE": ""}}, nil)
	defer j.End(t)
	outcome.OwnLog(t, j.Run(t, "id -u\necho $GOPATH ${OF_IMAGE-unset}\necho $PATH\necho one >/dev/stdout\necho two | tee /dev/stderr >/dev/null\n"),
		"1234\n/go unset\n/opt/own/bin:/bin:/usr/bin\none\ntwo\n")
	result := j.Play(t, j.Step(runner.Script{Shell: "bash", Text: "true"}), nil)
	outcome.Error(t, result, `exec: "bash": executable file not found in $PATH`, "[bad_request]")
	if result.ExitCode != 127 {
		t.Errorf("exit code = %d, want 127", result.ExitCode)
	}
}

// userOptionOfJob: the user of the options is that of every step.
func userOptionOfJob(t *testing.T, f *suite.Fixture) {
	image := f.Image(t, v1.Config{User: "1234:1234", Env: []string{busyboxPath}})
	for option, want := range map[string]string{"--user 1001": "1001\n", "--user root": "0\n", "--user www-data": "33\n"} {
		j := f.Prepare(t, runner.Job{Container: &runner.Container{Image: image, Options: option}}, nil)
		outcome.OwnLog(t, j.Run(t, "id -u"), want)
		j.End(t)
	}
}

// fakeNode says which it is and how it was called.
func fakeNode(name string) harness.File {
	return harness.File{Mode: 0o755, Data: []byte("#!/bin/sh\necho '" + name + "' $0 $*\necho \"input $INPUT_WHO\"\necho said=$INPUT_WHO >>$GITHUB_OUTPUT\n")}
}

// nodes are the runner's externals, below the work folder.
func nodes() harness.Files {
	files := harness.Files{}
	for _, name := range []string{"node20/bin/node", "node20/bin/npm", "node24/bin/node", "node20_alpine/bin/node"} {
		files["new/"+name] = fakeNode(name)
	}
	return files
}

// javaScriptOfJob: an action runs in the job container with the Node.js that it
// declares, which comes when the first one needs it, and alone.
func javaScriptOfJob(t *testing.T, f *suite.Fixture) {
	j := prepare(t, f, runner.Container{Image: "debian:bookworm-slim"}, nodes())
	defer j.End(t)
	main := runner.Script{Node: "node20", Main: "_actions/acme/js/v1/dist/index.js"}
	step := j.Step(main)
	step.Env["INPUT_WHO"] = "mona"
	result := j.Play(t, step, nil)
	outcome.Lines(t, result, `kiln: brought node20 to the job container \(0 MB in .*\)`,
		"node20/bin/node /__e/node20/bin/node /__w/_actions/acme/js/v1/dist/index.js", "input mona")
	if result.Outputs["said"] != "mona" {
		t.Errorf("outputs = %v", result.Outputs)
	}
	main.Main = "_actions/acme/js/v1/dist/post.js"
	outcome.OwnLog(t, j.Play(t, j.Step(main), nil), "node20/bin/node /__e/node20/bin/node /__w/_actions/acme/js/v1/dist/post.js\ninput \n")
	outcome.OwnLog(t, j.Run(t, "find /__e -type f; touch /__e/x 2>/dev/null || echo read-only"), "/__e/node20/bin/node\nread-only\n")
	main.Node = "node16"
	outcome.Error(t, j.Play(t, j.Step(main), nil), "the runner has no node16")
}

// muslOfJob: an image is known by its loader, whatever the runner takes it for.
func muslOfJob(t *testing.T, f *suite.Fixture) {
	loader := filepath.Join(t.TempDir(), "loader")
	if err := os.WriteFile(loader, []byte("a loader for musl\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	image, err := f.PackImage(t.Context(), v1.Config{Env: []string{busyboxPath}}, map[string]string{"lib/ld-musl-x86_64.so.1": loader})
	if err != nil {
		t.Fatal(err)
	}
	j := prepare(t, f, runner.Container{Image: image}, nodes())
	defer j.End(t)
	script := runner.Script{Node: "node20", Main: "x.js"}
	outcome.Log(t, j.Play(t, j.Step(script), nil), "node20_alpine/bin/node /__e/node20_alpine/bin/node /__w/x.js\n")
	script.Node = "node24"
	outcome.Error(t, j.Play(t, j.Step(script), nil), "this image has musl (Alpine), and the runner has no Node.js for it")
}

// bareImageOfJob: the job container starts, and the first step that cannot run
// says what it lacks.
func bareImageOfJob(t *testing.T, f *suite.Fixture) {
	image, err := f.PackBare(t.Context(), v1.Config{User: "65532:65532"}, map[string]string{"show": filepath.Join(f.Root, "e2e", "testdata", "programs", "show")})
	if err != nil {
		t.Fatal(err)
	}
	j := prepare(t, f, runner.Container{Image: image}, nodes())
	defer j.End(t)
	outcome.Error(t, j.Run(t, "true"), `exec: "sh": executable file not found in $PATH`)
	outcome.Error(t, j.Play(t, j.Step(runner.Script{Node: "node20", Main: "x.js"}), nil), "this image lacks what GitHub's Node.js needs (glibc 2.28 or newer, and libstdc++)")
}

// noImageOfJob: the job fails where it begins, soon, and with the node's reason.
func noImageOfJob(t *testing.T, f *suite.Fixture) {
	image := f.Registry + "/kiln-e2e/none:1"
	j, result := f.TryPrepare(t, runner.Job{Container: &runner.Container{Image: image}}, nil)
	outcome.Error(t, result, "the node cannot pull image "+image, "failed to resolve reference")
	if result.Duration > time.Minute {
		t.Errorf("it took %v", result.Duration)
	}
	j.End(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := f.Seen.Await(ctx, func() bool {
		last, found := f.Seen.Last("job", image)
		return found && (last.Pod.DeletionTimestamp != nil || last.Type == watch.Deleted)
	})
	if err != nil {
		t.Errorf("the job's pod is not deleted: %v", err)
	}
}

// imageNamesOfJob: a registry with a port, a repository with an underscore, a tag in
// upper case, and a digest alone.
func imageNamesOfJob(t *testing.T, f *suite.Fixture) {
	byTag, byDigest, err := f.NameImage(t.Context(), f.Image(t, v1.Config{Env: []string{busyboxPath}}), "kiln-e2e/an__odd_name:V1.0-RC_1")
	if err != nil {
		t.Fatal(err)
	}
	for job, service := range map[string]string{byTag: byDigest, byDigest: byTag} {
		j := f.Prepare(t, runner.Job{Container: &runner.Container{Image: job}, Services: []runner.Service{
			{Container: runner.Container{Image: service, Options: `--network-alias beside`}, EntryPoint: "sleep", Command: []string{"600"}},
		}}, nil)
		outcome.OwnLog(t, j.Run(t, "grep -c beside /etc/hosts\n"), "1\n")
		j.End(t)
	}
}

// memoryOfJob: the shared memory that options ask for, and a path that is memory.
func memoryOfJob(t *testing.T, f *suite.Fixture) {
	const sizes = "df -m /dev/shm | awk 'NR == 2 {print $2}'\nawk '$2 == \"/var/lib/mysql\" {print $3}' /proc/mounts\n"
	for options, want := range map[string]string{"--shm-size=1g --tmpfs /var/lib/mysql": "1024\ntmpfs\n", "": "64\n"} {
		j := f.Prepare(t, runner.Job{Container: &runner.Container{Image: f.Busybox(), Options: options}}, nil)
		outcome.OwnLog(t, j.Run(t, sizes), want)
		j.End(t)
	}
	j := f.Prepare(t, runner.Job{Container: &runner.Container{Image: f.Busybox(), Options: "--ipc=host"}}, nil)
	outcome.OwnLog(t, j.Run(t, "test $(df -m /dev/shm | awk 'NR == 2 {print $2}') -gt 1024 && echo large\n"), "large\n")
	j.End(t)
}

// limitsOfJob: the limits of options hold, and a step that needs more memory says so.
func limitsOfJob(t *testing.T, f *suite.Fixture) {
	j := f.Prepare(t, runner.Job{Container: &runner.Container{Image: "debian:bookworm-slim", Options: "--cpus 2 --memory 128m"}}, nil)
	outcome.OwnLog(t, j.Run(t, "cd /sys/fs/cgroup\ncat memory.max memory/memory.limit_in_bytes 2>/dev/null || true\ncut -d' ' -f1 cpu.max cpu/cpu.cfs_quota_us 2>/dev/null || true\n"), "134217728\n200000\n")
	result := j.Run(t, "perl -e '$x = \"a\" x (400 << 20); print length $x'\n")
	says := []string{"OOM", "128Mi"}
	if strings.Contains(result.Log, "ended by SIGKILL") { // a node that missed whose kill it was
		says = []string{"may have run out of memory"}
	}
	outcome.Error(t, result, says...)
	if result.ExitCode != 137 {
		t.Errorf("exit code = %d, want 137", result.ExitCode)
	}
	j.End(t)
}

// ulimitsOfJob: each step has the limits of the options, up to the node's hard ones,
// which is said once.
func ulimitsOfJob(t *testing.T, f *suite.Fixture) {
	const options = "--user 1001 --ulimit nofile=1000:2000 --ulimit core=0 --ulimit memlock=-1"
	j, result := f.TryPrepare(t, runner.Job{Container: &runner.Container{Image: f.Busybox(), Options: options}}, nil)
	outcome.Success(t, result)
	outcome.OwnLog(t, j.Run(t, "ulimit -Sn\nulimit -Hn\nulimit -c\n"), "1000\n2000\n0\n")
	limit := strings.TrimSpace(outcome.Own(j.Run(t, "ulimit -Hl").Log))
	warned := strings.Count(result.Log, "::warning::kiln: options: --ulimit: steps have the node's hard limits where they are lower than what was asked: memlock ")
	if want := map[bool]int{true: 0, false: 1}[limit == "unlimited"]; warned != want {
		t.Errorf("memlock is %s, and of that %d warnings were given:\n%s", limit, warned, outcome.Tail(result.Log))
	}
	j.End(t)
}

// agentSize holds the program that each job's directory gets a copy of.
func agentSize(t *testing.T, f *suite.Fixture) {
	info, err := os.Stat(filepath.Join(f.Root, "bin", "e2e", "kiln-agent"))
	if err != nil || info.Size() > 5<<20 {
		t.Errorf("kiln-agent: %v, %v; want 5 MB at most", info, err)
	}
}
