//go:build e2e

package e2e_test

import (
	"archive/tar"
	"bytes"
	"strings"
	"testing"
	"time"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/sample"
	"kiln/e2e/suite"
)

// assembling has the daemon put images together.
func assembling(_ suite.Stage, o *harness.PodOptions) { o.Assemble = true }

// TestAssemble plays actions for which nothing has to run, or not again: without a build
// pod, with the log and the exit code of the action.
func TestAssemble(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "assemble", assembling)
	t.Run("nothing runs", func(t *testing.T) { nothingRuns(t, f) })
	t.Run("a script behind a RUN", func(t *testing.T) { scriptBehindRun(t, f) })
	t.Run("what Kaniko cannot copy", func(t *testing.T) {
		step, files := sample.Build("parents", "FROM busybox\nCOPY --parents --chmod=u=rwx,go=rx dir/say /app/\nADD --chown=7:8 tool.tar /opt/\nHEALTHCHECK NONE\nENTRYPOINT [\"/app/dir/say\"]\n")
		addScript(files, step.Dockerfile, "dir/say", "echo said; stat -c '%F %a %u:%g %Y' /opt/tool/*")
		files[strings.TrimSuffix(step.Dockerfile, "Dockerfile")+"tool.tar"] = harness.File{Data: toolArchive(t), Mode: 0o644}
		result := f.Play(t, step, files)
		outcome.Success(t, result)
		outcome.Log(t, result, " COPY --parents ", " ADD --chown=7:8 tool.tar /opt/ ", "\nsaid\nregular file 4711 7:8 1000000000\nfifo 600 7:8 1000000000\n")
	})
	t.Run("switched off", func(t *testing.T) {
		before := len(f.BuildPods())
		g := f.Another(t, "off", func(o *harness.PodOptions) { o.Assemble = false })
		step, files := sample.Build("assemble-off", "FROM busybox\nENTRYPOINT [\"echo\", \"built whole\"]\n")
		outcome.Log(t, g.Play(t, step, files), "\nbuilt whole\n")
		if n := len(f.BuildPods()) - before; n != 1 {
			t.Errorf("%d build pods, want 1", n)
		}
	})
	f.WantNothingLeft(t)
}

// TestAssembleElsewhere pushes to a registry that wants a login and has none of the base
// image's layers.
func TestAssembleElsewhere(t *testing.T) {
	t.Parallel()
	auth := suite.AuthRegistry(t, harness.PullSecret)
	f := suite.New(t, "elsewhere", func(s suite.Stage, o *harness.PodOptions) { auth(s, o); assembling(s, o) })
	nothingRuns(t, f)
	scriptBehindRun(t, f)
	f.WantNothingLeft(t)
}

// addScript adds a script to the context of a Dockerfile.
func addScript(files harness.Files, dockerfile, name, text string) {
	dir := strings.TrimSuffix(dockerfile, "/Dockerfile")
	files[dir+"/"+name] = harness.File{Data: []byte("#!/bin/sh\n" + text + "\n"), Mode: 0o755}
}

// toolArchive holds a file and a pipe.
func toolArchive(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, h := range []tar.Header{
		{Typeflag: tar.TypeReg, Name: "tool/file", Mode: 0o4711, Size: 1},
		{Typeflag: tar.TypeFifo, Name: "tool/pipe", Mode: 0o600},
	} {
		h.ModTime = time.Unix(1_000_000_000, 0)
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(make([]byte, h.Size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// nothingRuns plays an action without a RUN, the same again, and changed.
func nothingRuns(t *testing.T, f *suite.Fixture) {
	t.Helper()
	before := len(f.BuildPods())
	play := func(text string) *harness.Result {
		step, files := sample.Build("assembled", "FROM debian:bookworm-slim\nCOPY run.sh /app/\nWORKDIR /app\nENTRYPOINT [\"/app/run.sh\"]\n")
		addScript(files, step.Dockerfile, "run.sh", text)
		return f.Play(t, step, files)
	}
	first := play("id -u; echo one; exit 3")
	outcome.Log(t, first, "kiln: not built yet\n", " FROM debian:bookworm-slim\n", " looking through the layers", " COPY run.sh /app/ ", "\n0\none\n")
	if first.ExitCode != 3 {
		t.Errorf("exit code %d, want 3", first.ExitCode)
	}
	outcome.Log(t, play("id -u; echo one; exit 3"), "kiln: reused (")
	changed := play("echo two")
	outcome.Success(t, changed)
	outcome.Log(t, changed, " COPY run.sh /app/ ", "\ntwo\n")
	if strings.Contains(changed.Log, "looking through") {
		t.Errorf("the layers were looked through again:\n%s", outcome.Tail(changed.Log))
	}
	if n := len(f.BuildPods()) - before; n != 0 {
		t.Errorf("%d build pods, want none", n)
	}
}

// scriptBehindRun plays an action whose script follows a RUN, and the same with another
// script: there is one build pod.
func scriptBehindRun(t *testing.T, f *suite.Fixture) {
	t.Helper()
	before := len(f.BuildPods())
	play := func(text string) *harness.Result {
		step, files := sample.Build("behind-run", "FROM debian:bookworm-slim\nRUN useradd -u 4711 app && echo installed >/installed\nUSER app\nCOPY --chown=app run.sh /app/\nENTRYPOINT [\"/app/run.sh\"]\n")
		addScript(files, step.Dockerfile, "run.sh", text)
		result := f.Play(t, step, files)
		outcome.Success(t, result)
		return result
	}
	first := play("cat /installed; id -u; stat -c %U:%G /app/run.sh")
	outcome.Log(t, first, "RUN useradd", " COPY --chown=app run.sh /app/ ", "\ninstalled\n4711\napp:app\n")
	second := play("echo changed; cat /installed")
	outcome.Log(t, second, " CACHED (base part built ", " COPY --chown=app run.sh /app/ ", "\nchanged\ninstalled\n")
	if n := len(f.BuildPods()) - before; n != 1 {
		t.Errorf("%d build pods, want 1", n)
	}
}
