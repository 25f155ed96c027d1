//go:build e2e

package e2e_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/sample"
	"kiln/e2e/suite"
)

// TestBuildCommand builds from a shell, on this machine and in a kiln container,
// what steps of the same namespace build.
func TestBuildCommand(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "shell", nil)
	near := reachable(t, f)
	s := newLaptop(t, near)

	step, words := sample.Greeter("from a shell")
	dir := s.write(t, words, sample.GreeterDir)
	first := s.build(t, dir)
	first.want(t, 0, " the runner pod near\n", "::group::Build acme/greeter/v1/Dockerfile\n", "kiln: not built yet\n", "kiln: built ", "::endgroup::\nkiln: context ")
	image := regexp.MustCompile(`\n(\S+/app@sha256:[0-9a-f]{64})\n$`).FindStringSubmatch(first.log.String())
	if image == nil {
		t.Fatalf("the last line is no image by digest:\n%s", first.log)
	}
	before := len(f.BuildPods())
	t.Run("again", func(t *testing.T) {
		again := s.build(t, dir)
		again.want(t, 0, "kiln: reused (built ", "\n"+image[1]+"\n")
	})
	t.Run("a step", func(t *testing.T) {
		result := near.Play(t, step, words)
		outcome.Success(t, result)
		outcome.Log(t, result, "kiln: reused (built ", image[1]+"\n", "\nfrom a shell\n")
	})
	if n := podsSince(f, before); n != 0 {
		t.Errorf("%d build pods for an image that is there", n)
	}
	t.Run("a RUN fails", func(t *testing.T) { failsAlike(t, near, s) })
	t.Run("cancelled", func(t *testing.T) { shellCancels(t, near, s) })
	t.Run("in a kiln container", func(t *testing.T) { buildsInside(t, near) })
	f.WantNothingLeft(t)
}

// TestBuildCommandKilled kills a build from a shell: Kubernetes deletes by itself
// what it made.
func TestBuildCommandKilled(t *testing.T) {
	t.Parallel()
	long(t)
	f := suite.New(t, "killed", nil)
	near := reachable(t, f)
	s := newLaptop(t, near)
	_, files := sample.Shared("killed", sample.Ticking(600))
	p := s.start(t, s.write(t, files, "_actions/acme/killed/v1"), "--pending-timeout=3s", "--build-timeout=3s")
	p.await(t, "tick 2 of the build")
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
func reachable(t *testing.T, f *suite.Fixture) *suite.Fixture {
	t.Helper()
	host, path, _ := strings.Cut(f.Registry, "/")
	near := nearby(t, f, host)
	address := near
	if path != "" {
		address += "/" + path
	}
	kaniko := pinned(t, f, f.KanikoImage)
	return f.Another(t, "near", func(o *harness.PodOptions) {
		o.DaemonEnv = map[string]string{
			"ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_HOST_PUSH": address + "/" + f.Namespace,
			"KILN_REGISTRY_MIRRORS":                                 strings.ReplaceAll(f.Mirrors, host, near),
			"KILN_INSECURE_REGISTRIES":                              f.Insecure + "," + near,
			"KILN_KANIKO_IMAGE":                                     kaniko,
		}
	})
}

// nearby is a registry's host and port as this machine and pods can name it.
func nearby(t *testing.T, f *suite.Fixture, registry string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(registry)
	if err != nil {
		return registry // a name of the Internet
	}
	if _, err := net.DefaultResolver.LookupHost(t.Context(), host); err == nil {
		return registry
	}
	out, err := f.Run(t.Context(), "getent", "ahostsv4", host)
	if err != nil {
		t.Fatal(err)
	}
	address, _, _ := strings.Cut(out, " ")
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
func pinned(t *testing.T, f *suite.Fixture, image string) string {
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

// newLaptop returns one for the namespace.
func newLaptop(t *testing.T, f *suite.Fixture) *laptop {
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
	cmd   *exec.Cmd
	log   *suite.LiveLog // standard output
	told  bytes.Buffer   // standard error
	ended chan error
}

// start runs kilnd build for a directory.
func (s *laptop) start(t *testing.T, dir string, flags ...string) *shellBuild {
	t.Helper()
	p := &shellBuild{log: suite.NewLiveLog(), ended: make(chan error, 1)}
	args := append([]string{"build", dir, "--namespace=" + s.namespace, "--workspace=" + filepath.Join(s.dir, "app")}, flags...)
	p.cmd = exec.CommandContext(t.Context(), s.kilnd, args...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, &p.told
	p.cmd.Env = append(os.Environ(), "DOCKER_CONFIG="+s.dir, "TMPDIR="+t.TempDir())
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		err := p.cmd.Wait()
		if p.cmd.ProcessState != nil {
			err = nil // want looks at the exit code
		}
		p.log.End()
		p.ended <- err
	}()
	return p
}

// build runs kilnd build to its end.
func (s *laptop) build(t *testing.T, dir string) *shellBuild {
	t.Helper()
	p := s.start(t, dir)
	p.wait(t)
	return p
}

// await waits for a text of the log, and ends the test when the build ends without it.
func (p *shellBuild) await(t *testing.T, text string) {
	t.Helper()
	if err := p.log.Await(t.Context(), text); err != nil {
		t.Fatalf("the build's log: %v; said %q:\n%s", err, &p.told, outcome.Tail(p.log.String()))
	}
}

// wait waits for the end.
func (p *shellBuild) wait(t *testing.T) {
	t.Helper()
	if err := <-p.ended; err != nil {
		t.Fatal(err)
	}
}

// want fails the test unless the build ended with the code and its log has the
// texts.
func (p *shellBuild) want(t *testing.T, code int, texts ...string) {
	t.Helper()
	if got := p.cmd.ProcessState.ExitCode(); got != code || p.told.Len() > 0 {
		t.Errorf("exit code %d, want %d; said %q:\n%s", got, code, &p.told, outcome.Tail(p.log.String()))
	}
	for _, text := range texts {
		if !strings.Contains(p.log.String(), text) {
			t.Errorf("log has no %q:\n%s", text, outcome.Tail(p.log.String()))
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
func failsAlike(t *testing.T, f *suite.Fixture, s *laptop) {
	step, files := sample.Shared("fails", "echo about to fail && exit 7")
	result := f.Play(t, step, files)
	outcome.Error(t, result, "[run_failed]")
	failed := s.build(t, s.write(t, files, "_actions/acme/fails/v1"))
	failed.want(t, 1, "about to fail\n")
	if got, want := outcome.Errors(failed.log.String()), outcome.Errors(result.Log); len(got) != 1 || len(want) != 1 || got[0] != want[0] {
		t.Errorf("the shell says %q, the step %q", got, want)
	}
}

// shellCancels interrupts a build from a shell that a step follows: the step's
// goes on in its pod. One that nobody follows is gone at once.
func shellCancels(t *testing.T, f *suite.Fixture, s *laptop) {
	before := len(f.BuildPods())
	step, files := sample.Shared("left", sample.Ticking(15))
	p := s.start(t, s.write(t, files, "_actions/acme/left/v1"))
	p.await(t, "tick 2 of the build")
	follower := f.Start(t.Context(), step, files)
	follower.Await(t, "tick 2 of the build")
	awaitJoined(t, f, follower, before)
	p.interrupt(t)
	p.want(t, 1, "::error::the build was cancelled [cancelled]\n")
	result := follower.Wait(t)
	outcome.Success(t, result)
	outcome.Log(t, result, "kiln: following the build that a shell on ", "tick 15 of the build\n", "\nthe action ran\n")
	if n := podsSince(f, before); n != 1 {
		t.Errorf("%d build pods, want the one of the shell", n)
	}
	_, alone := sample.Shared("alone", sample.Ticking(600))
	p = s.start(t, s.write(t, alone, "_actions/acme/alone/v1"))
	p.await(t, "tick 2 of the build")
	began := time.Now()
	p.interrupt(t)
	p.want(t, 1, "::error::the build was cancelled [cancelled]\n")
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %v to end", took)
	}
}

// awaitJoined waits until the build pod that was seen after the first ones belongs to two,
// one of whom follows: it outlives the other from then on.
func awaitJoined(t *testing.T, f *suite.Fixture, follower *suite.Playing, before int) {
	t.Helper()
	err := f.Seen.Await(follower.While(t.Context()), func() bool {
		pods := f.BuildPods()[before:]
		return slices.ContainsFunc(f.Seen.Sightings(), func(s harness.Sighting) bool {
			return len(s.Pod.OwnerReferences) > 1 && slices.Contains(pods, s.Pod.UID)
		})
	})
	if err != nil {
		t.Fatalf("wait until the build pod belongs to its follower too: %v", err)
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
func buildsInside(t *testing.T, f *suite.Fixture) {
	step, files := sample.Greeter("from inside")
	step.HookEnv = nil
	archive := packed(t, files)
	log, want := buildInside(t, f, archive), "kiln: built "
	// An exec may end before all of its output has arrived. The image is there then.
	for try := 1; try < 5 && !imageLine.MatchString(log); try++ {
		log, want = buildInside(t, f, archive), "kiln: reused (built "
	}
	if !strings.Contains(log, want) || !imageLine.MatchString(log) {
		t.Errorf("the log has no %q, or does not end with the image:\n%s", want, log)
	}
	result := f.Play(t, step, files)
	outcome.Log(t, result, "kiln: reused (built ", "\nfrom inside\n")
}

// imageLine is the last line of kilnd build.
var imageLine = regexp.MustCompile(`@sha256:[0-9a-f]{64}\n$`)

// buildInside has kilnd in the kiln container build a context, and returns its log.
func buildInside(t *testing.T, f *suite.Fixture, archive []byte) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var out, told bytes.Buffer
	err := f.Exec(ctx, harness.Exec{
		Namespace: f.Namespace, Pod: f.Pod, Container: harness.DaemonContainer,
		Command: []string{"/kilnd", "build", "-", "--workspace=/app"}, Stdin: bytes.NewReader(archive), Stdout: &out, Stderr: &told,
	})
	if err != nil || told.Len() > 0 {
		t.Fatalf("%v, %s\n%s", err, &told, &out)
	}
	return out.String()
}

// packed is a tar of the greeter's files.
func packed(t *testing.T, files harness.Files) []byte {
	t.Helper()
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for path, file := range files {
		header := &tar.Header{Name: "./" + strings.TrimPrefix(path, sample.GreeterDir+"/"), Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(file.Data))}
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
	return archive.Bytes()
}
