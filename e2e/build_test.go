//go:build e2e

package e2e_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"kiln/e2e/harness"
	"kiln/e2e/runner"
)

// TestBuildCommand builds from a shell, on this machine and in a kiln container,
// what steps of the same namespace build.
func TestBuildCommand(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "shell", nil)
	near := f.reachable(t)
	s := near.laptop(t)

	words := greeter("from a shell")
	dir := s.write(t, words, greeterDir)
	first := s.build(t, dir)
	first.want(t, 0, " the runner pod near\n", "::group::Build acme/greeter/v1/Dockerfile\n", "kiln: not built yet\n", "kiln: built ", "::endgroup::\nkiln: context ")
	image := regexp.MustCompile(`\n(\S+/app@sha256:[0-9a-f]{64})\n$`).FindStringSubmatch(first.log.String())
	if image == nil {
		t.Fatalf("the last line is no image by digest:\n%s", &first.log)
	}
	before := len(f.buildPods())
	t.Run("again", func(t *testing.T) {
		again := s.build(t, dir)
		again.want(t, 0, "kiln: reused (built ", "\n"+image[1]+"\n")
	})
	t.Run("a step", func(t *testing.T) {
		result, err := near.Step(t.Context(), greeterStep(), words, nil)
		if err != nil {
			t.Fatal(err)
		}
		wantSuccess(t, []*harness.Result{result})
		wantLog(t, result, "kiln: reused (built ", image[1]+"\n", "\nfrom a shell\n")
	})
	if n := f.podsSince(before); n != 0 {
		t.Errorf("%d build pods for an image that is there", n)
	}
	t.Run("a RUN fails", func(t *testing.T) { near.failsAlike(t, s) })
	t.Run("cancelled", func(t *testing.T) { near.shellCancels(t, s) })
	t.Run("in a kiln container", near.buildsInside)
	f.wantNothingLeft(t)
}

// TestBuildCommandKilled kills a build from a shell: Kubernetes deletes by itself
// what it made.
func TestBuildCommandKilled(t *testing.T) {
	t.Parallel()
	long(t)
	f := newFixture(t, "killed", nil)
	near := f.reachable(t)
	s := near.laptop(t)
	_, files := shared("killed", ticking(600))
	p := s.start(t, s.write(t, files, "_actions/acme/killed/v1"), "tick 2 of the build", "--pending-timeout=3s", "--build-timeout=3s")
	<-p.live.seen
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.wait(t)
	left, err := f.Leftovers(t.Context(), f.Namespace, 3*time.Minute)
	if err != nil || len(left) > 0 {
		t.Errorf("left in the namespace: %v, %v", left, err)
	}
}

// reachable starts a runner whose settings name registries that this machine
// reaches too, by the addresses that pods have for them.
func (f *fixture) reachable(t *testing.T) *fixture {
	t.Helper()
	host, path, _ := strings.Cut(f.Registry, "/")
	near := f.near(t, host)
	address := near
	if path != "" {
		address += "/" + path
	}
	kaniko := f.pinned(t, f.KanikoImage)
	return f.another(t, "near", func(o *harness.PodOptions) {
		o.DaemonEnv = map[string]string{
			"ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_HOST_PUSH": address + "/" + f.Namespace,
			"KILN_REGISTRY_MIRRORS":                                 strings.ReplaceAll(f.Mirrors, host, near),
			"KILN_INSECURE_REGISTRIES":                              f.Insecure + "," + near,
			"KILN_KANIKO_IMAGE":                                     kaniko,
		}
	})
}

// near is a registry's host and port as this machine and pods can name it.
func (f *fixture) near(t *testing.T, registry string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(registry)
	if err != nil {
		return registry // a name of the Internet
	}
	if _, err := net.DefaultResolver.LookupHost(t.Context(), host); err == nil {
		return registry
	}
	var out bytes.Buffer
	err = f.Exec(t.Context(), harness.Exec{
		Namespace: f.Namespace, Pod: f.Pod, Container: harness.RunnerContainer,
		Command: []string{"getent", "ahostsv4", host}, Stdout: &out,
	})
	if err != nil {
		t.Fatal(err)
	}
	address, _, _ := strings.Cut(out.String(), " ")
	near := net.JoinHostPort(address, port)
	connection, err := net.DialTimeout("tcp", near, 3*time.Second)
	if err != nil {
		t.Skipf("this machine does not reach the registry %s of the cluster: %v", registry, err)
	}
	_ = connection.Close()
	return near
}

// pinned names an image of the cluster's registry by its digest: this machine and
// pods ask different hosts for it, and must build with the same one.
func (f *fixture) pinned(t *testing.T, image string) string {
	t.Helper()
	ref, err := name.ParseReference(f.RegistryPush+strings.TrimPrefix(image, f.Registry), name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	found, err := remote.Head(ref, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	return image[:strings.LastIndex(image, ":")] + "@" + found.Digest.String()
}

// laptop runs kilnd on this machine, as a person would beside the cluster.
type laptop struct {
	namespace, kilnd, dir string
}

// laptop returns one for the namespace.
func (f *fixture) laptop(t *testing.T) *laptop {
	t.Helper()
	s := &laptop{namespace: f.Namespace, kilnd: filepath.Join(f.Root, "bin", "e2e", "kilnd"), dir: t.TempDir()}
	if err := os.MkdirAll(filepath.Join(s.dir, "app"), 0o755); err != nil {
		t.Fatal(err)
	}
	return s
}

// write puts files below the shell's directory and returns the one of them that
// is called dir.
func (s *laptop) write(t *testing.T, files harness.Files, dir string) string {
	t.Helper()
	for path, file := range files {
		path = filepath.Join(s.dir, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, file.Data, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(s.dir, dir)
}

// shellBuild is one run of kilnd build.
type shellBuild struct {
	cmd  *exec.Cmd
	log  bytes.Buffer // standard output
	live *awaited
	told bytes.Buffer // standard error
}

// start runs kilnd build for a directory; the build's live is told of the text.
func (s *laptop) start(t *testing.T, dir, text string, flags ...string) *shellBuild {
	t.Helper()
	p := &shellBuild{live: &awaited{text: text, seen: make(chan struct{})}}
	args := append([]string{"build", dir, "--namespace=" + s.namespace, "--workspace=" + filepath.Join(s.dir, "app")}, flags...)
	p.cmd = exec.CommandContext(t.Context(), s.kilnd, args...)
	p.cmd.Stdout, p.cmd.Stderr = io.MultiWriter(&p.log, p.live), &p.told
	p.cmd.Env = append(os.Environ(), "DOCKER_CONFIG="+s.dir, "TMPDIR="+t.TempDir())
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// build runs kilnd build to its end.
func (s *laptop) build(t *testing.T, dir string) *shellBuild {
	t.Helper()
	p := s.start(t, dir, "\x00")
	p.wait(t)
	return p
}

// wait waits for the end.
func (p *shellBuild) wait(t *testing.T) {
	t.Helper()
	if err := p.cmd.Wait(); err != nil && p.cmd.ProcessState == nil {
		t.Fatal(err)
	}
}

// want fails the test unless the build ended with the code and its log has the
// texts.
func (p *shellBuild) want(t *testing.T, code int, texts ...string) {
	t.Helper()
	if got := p.cmd.ProcessState.ExitCode(); got != code || p.told.Len() > 0 {
		t.Errorf("exit code %d, want %d; said %q:\n%s", got, code, &p.told, tail(p.log.String()))
	}
	for _, text := range texts {
		if !strings.Contains(p.log.String(), text) {
			t.Errorf("log has no %q:\n%s", text, tail(p.log.String()))
		}
	}
	for _, variable := range p.cmd.Env {
		if dir, ok := strings.CutPrefix(variable, "TMPDIR="); ok {
			if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
				t.Errorf("left on this machine: %v, %v", entries, err)
			}
		}
	}
}

// failsAlike has a step and a shell build what cannot be built: both say the same.
func (f *fixture) failsAlike(t *testing.T, s *laptop) {
	step, files := shared("fails", "echo about to fail && exit 7")
	result, err := f.Step(t.Context(), step, files, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, result, "[run_failed]")
	failed := s.build(t, s.write(t, files, "_actions/acme/fails/v1"))
	failed.want(t, 1, "about to fail\n")
	if got, want := errorLines(failed.log.String()), errorLines(result.Log); len(got) != 1 || len(want) != 1 || got[0] != want[0] {
		t.Errorf("the shell says %q, the step %q", got, want)
	}
}

// shellCancels interrupts a build from a shell that a step follows: the step's
// goes on in its pod. One that nobody follows is gone at once.
func (f *fixture) shellCancels(t *testing.T, s *laptop) {
	before := len(f.buildPods())
	step, files := shared("left", ticking(15))
	p := s.start(t, s.write(t, files, "_actions/acme/left/v1"), "tick 2 of the build")
	<-p.live.seen
	follows := &awaited{text: "tick 2 of the build", seen: make(chan struct{})}
	follower := f.start(t.Context(), step, files, follows)
	<-follows.seen
	p.interrupt(t)
	p.want(t, 1, "::error::the build was cancelled [cancelled]\n")
	result := follower.wait(t)
	wantSuccess(t, []*harness.Result{result})
	wantLog(t, result, "kiln: following the build that a shell on ", "tick 15 of the build\n", "\nthe action ran\n")
	if n := f.podsSince(before); n != 1 {
		t.Errorf("%d build pods, want the one of the shell", n)
	}
	_, alone := shared("alone", ticking(600))
	p = s.start(t, s.write(t, alone, "_actions/acme/alone/v1"), "tick 2 of the build")
	<-p.live.seen
	began := time.Now()
	p.interrupt(t)
	p.want(t, 1, "::error::the build was cancelled [cancelled]\n")
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v to end", took)
	}
}

// interrupt presses Ctrl-C and waits for the end.
func (p *shellBuild) interrupt(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	p.wait(t)
}

// buildsInside runs kilnd build in the kiln container, with the context on
// standard input, and a step that finds the image.
func (f *fixture) buildsInside(t *testing.T) {
	files := greeter("from inside")
	var archive, out, told bytes.Buffer
	w := tar.NewWriter(&archive)
	for path, file := range files {
		header := &tar.Header{Name: "./" + strings.TrimPrefix(path, greeterDir+"/"), Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(file.Data))}
		err := w.WriteHeader(header)
		if err == nil {
			_, err = w.Write(file.Data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	err := f.Exec(ctx, harness.Exec{
		Namespace: f.Namespace, Pod: f.Pod, Container: harness.DaemonContainer,
		Command: []string{"/kilnd", "build", "-", "--workspace=/app"}, Stdin: &archive, Stdout: &out, Stderr: &told,
	})
	if err != nil || told.Len() > 0 {
		t.Fatalf("%v, %s\n%s", err, &told, &out)
	}
	if !strings.Contains(out.String(), "kiln: built ") {
		t.Errorf("the log:\n%s", &out)
	}
	result, err := f.Step(t.Context(), runner.Step{Repository: "acme/app", Dockerfile: greeterDir + "/Dockerfile"}, files, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantLog(t, result, "kiln: reused (built ", "\nfrom inside\n")
}
