package repo_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// command runs a program at the top of the work tree and returns its standard output.
func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = root
	var diagnostics strings.Builder
	cmd.Stderr = &diagnostics
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, diagnostics.String())
	}
	return string(out)
}

// dependencies lists the import paths outside the standard library that pattern's
// programs are linked from, in the order the go command prints them.
func dependencies(t *testing.T, pattern string) []string {
	t.Helper()
	out := command(t, "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", pattern)
	return strings.Fields(out)
}

// TestAgentDependencies holds the process of a job container to the standard library and
// system calls: it is copied into containers of any image, and has nothing to ask of
// Kubernetes. Without other libraries it stays far below 5 MB.
func TestAgentDependencies(t *testing.T) {
	allowed := []string{
		"kiln/daemon/kiln-agent", "kiln/internal/agent", "kiln/internal/buildinit", "kiln/internal/children",
		"golang.org/x/sys/unix",
	}
	for _, path := range dependencies(t, "./daemon/kiln-agent") {
		if !slices.Contains(allowed, path) {
			t.Errorf("kiln-agent is linked from %s; `go list -deps ./daemon/kiln-agent` and `go mod why` tell what brings it in", path)
		}
	}
}

// TestShimDependencies holds the shim to the little it needs. The runner starts it once
// for each step, so its size and start time are the author's; and a package that talks
// to Kubernetes has no business in the container that workflow code runs in.
func TestShimDependencies(t *testing.T) {
	allowed := []string{
		"kiln/hookshim",
		"kiln/internal/agent",
		"kiln/internal/buildcontext",
		"kiln/internal/children",
		"kiln/internal/createoptions",
		"kiln/internal/failure",
		"kiln/internal/hook",
		"kiln/internal/hostpath",
		"kiln/internal/jobdir",
		"kiln/internal/spool",
		"kiln/internal/wish",
		"kiln/internal/workerlog",
		"github.com/docker/go-units",
		"github.com/fsnotify/fsnotify",
		"github.com/moby/patternmatcher",
		"github.com/spf13/pflag",
		"golang.org/x/sys",
	}
	linked := dependencies(t, "./hookshim")
	for _, path := range allowed {
		if !slices.ContainsFunc(linked, func(l string) bool { return l == path || strings.HasPrefix(l, path+"/") }) {
			t.Errorf("kiln-hook is allowed %s, and is not linked from it", path)
		}
	}
	for _, path := range linked {
		inside := func(prefix string) bool { return path == prefix || strings.HasPrefix(path, prefix+"/") }
		if !slices.ContainsFunc(allowed, inside) {
			t.Errorf("kiln-hook is linked from %s; `go list -deps ./hookshim` and `go mod why` tell what brings it in", path)
		}
	}
}

// TestProductImports keeps test programs out of the product's binaries: nothing that is
// shipped is linked from the end-to-end suite or from a test library.
func TestProductImports(t *testing.T) {
	refused := map[string]string{
		"kiln/e2e":                               "the end-to-end suite imports the product, never the other way round",
		"kiln/internal/freeport":                 "it finds ports for tests",
		"kiln/internal/golden":                   "it compares files in tests",
		"github.com/google/go-cmp":               "a test library",
		"github.com/rogpeppe/go-internal":        "a test library",
		"pgregory.net/rapid":                     "a test library",
		"go.uber.org/goleak":                     "a test library",
		"kiln/internal/kube/kubetest":            "a test library",
		"k8s.io/client-go/testing":               "a test library",
		"sigs.k8s.io/controller-runtime":         "two kinds in one namespace need no framework",
		"github.com/GoogleContainerTools/kaniko": "Kaniko is an image, not a library",
		"github.com/chainguard-dev/kaniko":       "Kaniko is an image, not a library",
	}
	for _, pattern := range []string{"./daemon", "./hookshim"} {
		for _, path := range dependencies(t, pattern) {
			for prefix, why := range refused {
				if path == prefix || strings.HasPrefix(path, prefix+"/") {
					t.Errorf("%s is linked from %s: %s", pattern, path, why)
				}
			}
		}
	}
}

// TestNarrowClient keeps client-go's client set out of the programs, which then start
// smaller and faster, and out of their tests, which then link in a fraction of the time.
func TestNarrowClient(t *testing.T) {
	linked := command(t, "go", "list", "-deps", "-test", "./daemon/...", "./hookshim/...", "./internal/...")
	for path := range strings.FieldsSeq(linked) {
		for _, wide := range []string{"k8s.io/client-go/kubernetes", "k8s.io/client-go/applyconfigurations", "k8s.io/client-go/openapi"} {
			if path == wide || strings.HasPrefix(path, wide+"/") {
				t.Errorf("%s is linked; internal/kube has the kinds and verbs that kiln uses, and internal/kube/kubetest the stand-in", path)
			}
		}
	}
}

// TestGroundFloor keeps what many packages share free of what they are for: a program
// that reads settings needs neither the Dockerfile's parser nor the build pod.
func TestGroundFloor(t *testing.T) {
	refused := map[string]string{
		"github.com/moby/buildkit": "internal/preflight alone reads Dockerfiles",
		"kiln/internal/kaniko":     "the words that settings and the build pod share are in internal/executor",
		"kiln/internal/preflight":  "which Kaniko builds is told by internal/executor",
	}
	for _, pattern := range []string{"./internal/config", "./internal/executor"} {
		for _, path := range dependencies(t, pattern) {
			for prefix, why := range refused {
				if path == prefix || strings.HasPrefix(path, prefix+"/") {
					t.Errorf("%s imports %s: %s", pattern, path, why)
				}
			}
		}
	}
}
