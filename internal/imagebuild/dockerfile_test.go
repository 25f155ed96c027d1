package imagebuild

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kiln/internal/buildcontext"
	"kiln/internal/buildkey"
	"kiln/internal/executor"
	"kiln/internal/failure"
	"kiln/internal/kube/kubetest"
	"kiln/internal/preflight"
	"kiln/internal/registry"
	"kiln/internal/steplog"
)

// What keeps a base image from being read says whose fault it is: a registry that
// answers is not called unreachable.
func TestBaseError(t *testing.T) {
	cause := errors.New("because")
	for name, tt := range map[string]struct {
		kind registry.Kind
		err  error
		want failure.Reason
	}{
		"missing":        {registry.NotFound, cause, failure.BaseImageNotFound},
		"denied":         {registry.Denied, cause, failure.BaseImageDenied},
		"our own denial": {registry.Denied, &registry.SettingsError{Err: cause}, failure.Misconfigured},
		"other platform": {registry.OtherPlatform, cause, failure.BaseImageNotFound},
		"unfit":          {registry.Unfit, cause, failure.UnsupportedInstruction},
		"silent":         {registry.Unreachable, cause, failure.RegistryUnreachable},
	} {
		a := author{place: steplog.Place{File: "Dockerfile"}}
		err := a.baseError(preflight.Image{Reference: "ghcr.io/acme/base:1", Line: 3}, &registry.LookupError{Reference: "x", Kind: tt.kind, Err: tt.err})
		if failure.Of(err) != tt.want || !strings.Contains(err.Error(), ":3: ") || !strings.Contains(err.Error(), "because") {
			t.Errorf("%s: %q %v, want %q", name, failure.Of(err), err, tt.want)
		}
	}
}

// TestTooManyImages: a Dockerfile that names more than a build may take is refused
// at the line of the first that is too many, and nobody is asked.
func TestTooManyImages(t *testing.T) {
	var text strings.Builder
	text.WriteString("FROM scratch\n")
	for i := range maxImages + 1 {
		fmt.Fprintf(&text, "COPY --from=image%d /a /a%d\n", i, i)
	}
	file, err := preflight.Parse("Dockerfile", []byte(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	o, _ := anOrder(kubetest.New()) // without a registry client
	o.plan.file = file
	err = o.resolve(t.Context())
	placed, ok := errors.AsType[*steplog.PlacedError](err)
	if !ok || placed.Place.Line != maxImages+2 || failure.Of(err) != failure.UnsupportedInstruction {
		t.Errorf("error = %v", err)
	}
}

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
			flavor := executor.Flavor{Name: executor.Osscontainertools, Version: "1.28"}
			log := steplog.New(&strings.Builder{}, "", false)
			source := &Source{Text: []byte(tt.dockerfile), Place: steplog.Place{File: "Dockerfile"}, Context: Context{Tree: tree}}
			err := Check(t.Context(), source, flavor, false, log)
			if failure.Of(err) != tt.reason || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("check: %q %v, want %q and %q", failure.Of(err), err, tt.reason, tt.says)
			}
			if err := Check(t.Context(), source, flavor, true, log); (err != nil) != (tt.reason != "" && tt.reason != failure.UnsupportedInstruction) {
				t.Errorf("check of what is put together: %v", err)
			}
			source.Text = append(source.Text, "RUN x\nUSER y\n"...)
			if err := Check(t.Context(), source, flavor, true, log); (err != nil) != (tt.reason != "") {
				t.Errorf("check of what is put together behind a RUN: %v", err)
			}
			source.Context.Tree, source.Text = nil, []byte(tt.dockerfile)
			if err := Check(t.Context(), source, flavor, false, log); tt.reason != failure.DockerfileSyntax && err != nil {
				t.Errorf("check without a context: %v", err)
			}
		})
	}
}

// TestTriggersAreChecked refuses triggers of a base at its FROM, also for what
// is in the context, and warns of others.
func TestTriggersAreChecked(t *testing.T) {
	for name, tt := range map[string]struct {
		trigger string
		says    string
		log     string
	}{
		"harmless":  {"COPY f /f", "", ""},
		"refused":   {"COPY --parents f /x/", "Dockerfile:2: ONBUILD COPY --parents f /x/, a trigger of base: Kaniko ignores --parents", "2 | FROM base"},
		"a link":    {"COPY l /l", "Dockerfile:2: ONBUILD COPY l /l, a trigger of base: l is a symbolic link to f", "2 | FROM base"},
		"a warning": {"COPY f* /new", "", "line=2::Dockerfile:2: ONBUILD COPY f* /new, a trigger of base: Kaniko copies the files"},
		"no syntax": {"FROM x", "FROM is not allowed", ""},
	} {
		t.Run(name, func(t *testing.T) {
			o, log := anOrder(kubetest.New())
			o.builder.options.Flavor = executor.Flavor{Name: executor.Osscontainertools, Version: "1.28"}
			o.source.Context.Path = filepath.Join(t.TempDir(), "context.tar.gz")
			file, err := preflight.Parse("Dockerfile", []byte("\nFROM base\n"))
			if err != nil {
				t.Fatal(err)
			}
			writeContext(t, o.source.Context.Path)
			o.plan.file = file
			o.author().shield()
			o.plan.known = map[string]preflight.Base{"base": {Triggers: []string{tt.trigger}}}
			err = o.checkBases()
			if (err != nil) != (tt.says != "") || err != nil && (failure.Of(err) != failure.UnsupportedInstruction || !strings.Contains(err.Error(), tt.says)) {
				t.Errorf("checkBases: %q %v, want %q", failure.Of(err), err, tt.says)
			}
			o.warnLate(o.plan.kanikos)
			if !strings.Contains(log.String(), tt.log) {
				t.Errorf("the log has no %q:\n%s", tt.log, log)
			}
		})
	}
}

// described is a registry in which every image has this configuration.
type described struct {
	Registry
	base registry.Base
}

func (d described) Base(context.Context, string, string, string) (registry.Base, error) {
	return d.base, nil
}

// TestBasesAreChecked refuses what an ARG does to a variable of a base image.
func TestBasesAreChecked(t *testing.T) {
	o, _ := anOrder(kubetest.New())
	o.builder.options.Flavor = executor.Flavor{Name: executor.Chainguard}
	o.builder.options.Registry = described{base: registry.Base{Env: []string{"V=1"}}}
	file, err := preflight.Parse("Dockerfile", []byte("FROM base\nARG V=2\nRUN true\n"))
	if err != nil {
		t.Fatal(err)
	}
	o.plan.file, o.plan.bases = file, []buildkey.Reference{{Name: "base"}}
	_, err = o.triggered(t.Context())
	if failure.Of(err) != failure.UnsupportedInstruction || !strings.Contains(err.Error(), "Dockerfile:2: behind the environment of base: ") {
		t.Errorf("triggered: %q %v", failure.Of(err), err)
	}
}

// writeContext writes a canonical tar of a Dockerfile, two files and a link.
func writeContext(t *testing.T, name string) {
	t.Helper()
	dir := t.TempDir()
	for _, file := range []string{"Dockerfile", "f", "f2"} {
		if err := os.WriteFile(dir+"/"+file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("f", dir+"/l"); err != nil {
		t.Fatal(err)
	}
	var staged bytes.Buffer
	if _, err := buildcontext.Stage(&staged, dir+"/Dockerfile", buildcontext.Limits{}); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := buildcontext.Canonical(out, &staged, buildcontext.Limits{}); err != nil {
		t.Fatal(err)
	}
}
