// Package helm_test renders the chart in charts/kiln with the real Helm, of both major
// versions. The module's tool directives say which; `make bin/helm bin/helm3` builds
// them. What is rendered is kept in testdata, where internal/repo holds it against
// manifests/ and the overlays without needing Helm.
package helm_test

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

const root = "../.."

// helms are the programs of the supported versions.
var helms = []string{"helm", "helm3"}

// helm runs one of them away from the settings of whoever runs the test.
func helm(t *testing.T, program string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(root, "bin", program))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run `make bin/%s`", err, program)
	}
	home := t.TempDir()
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Env = []string{"HOME=" + home, "HELM_CACHE_HOME=" + home, "HELM_CONFIG_HOME=" + home, "HELM_DATA_HOME=" + home}
	var out, diagnostics bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &diagnostics
	err = cmd.Run()
	return out.String(), diagnostics.String(), err
}

// template renders the chart with values on a cluster of that version.
func template(t *testing.T, program, kubernetes string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	return helm(t, program, append([]string{
		"template", "kiln", filepath.Join(root, "charts", "kiln"), "--namespace", "runners", "--kube-version", kubernetes,
	}, args...)...)
}

// TestRender shows that both versions of Helm make the same of the chart, but for blank
// lines between documents.
func TestRender(t *testing.T) {
	blank := regexp.MustCompile(`\n+`)
	for _, values := range []string{"default", "closed", "full"} {
		for _, program := range helms {
			t.Run(values+" with "+program, func(t *testing.T) {
				out, diagnostics, err := template(t, program, "1.29.0", "--values", filepath.Join("testdata", values+".values.yaml"))
				if err != nil {
					t.Fatalf("%v\n%s", err, diagnostics)
				}
				got := blank.ReplaceAllString(out, "\n")
				file := filepath.Join("testdata", values+".rendered.yaml")
				if *update && program == helms[0] {
					if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), got); diff != "" {
					t.Errorf("differs, see `go test -C e2e/helm . -update` (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// TestRefused shows what a person reads who writes a wrong value.
func TestRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		set        string
		kubernetes string
		want       string
	}{
		"no image":             {set: "image=", want: "image is not set: none of kiln is published"},
		"no registry":          {set: "registry.host=", want: "registry.host is not set: write the registry and path"},
		"push host alone":      {set: "registry.host=,registry.pushHost=a.example.com", want: "registry.host is not set"},
		"unknown key":          {set: "foo=1", want: "additional properties 'foo' not allowed"},
		"unknown nested key":   {set: "networkPolicy.enable=false", want: "at '/networkPolicy': additional properties 'enable' not allowed"},
		"unknown setting":      {set: "settings.KILN_BUILD_TIMOUT=1m", want: "at '/settings': additional properties 'KILN_BUILD_TIMOUT' not allowed"},
		"setting of the pod":   {set: "settings.KILN_LISTEN=:80", want: "additional properties 'KILN_LISTEN' not allowed"},
		"novolume":             {set: "mode=kubernetes-novolume", want: "at '/mode': value must be one of 'sealed', 'kubernetes'"},
		"mode without sets":    {set: "mode=kubernetes", want: "scaleSets is empty: in mode kubernetes kiln uses the service account"},
		"scale set":            {set: "scaleSets={My Set}", want: "at '/scaleSets/0': 'My Set' does not match pattern"},
		"range":                {set: "networkPolicy.cluster={10.0.0.1}", want: "at '/networkPolicy/cluster/0': '10.0.0.1' does not match pattern"},
		"peer without address": {set: "networkPolicy.allow[0].ports[0]=1", want: "at '/networkPolicy/allow/0': missing property 'cidr'"},
		"port":                 {set: "networkPolicy.allow[0].cidr=10.0.0.1/32,networkPolicy.allow[0].ports[0]=70000", want: "at '/networkPolicy/allow/0/ports/0': maximum"},
		"image with a space":   {set: "image=a b", want: "at '/image': 'a b' does not match pattern"},
		"switch":               {set: "networkPolicy.enabled=maybe", want: "at '/networkPolicy/enabled': got string, want boolean"},
		"old Kubernetes":       {kubernetes: "1.28.9", want: "requires kubeVersion: >=1.29.0-0 which is incompatible with Kubernetes v1.28.9"},
	} {
		for _, program := range helms {
			t.Run(name+" with "+program, func(t *testing.T) {
				if tc.kubernetes == "" {
					tc.kubernetes = "1.34.0"
				}
				_, diagnostics, err := template(t, program, tc.kubernetes,
					"--values", filepath.Join("testdata", "default.values.yaml"), "--set", tc.set)
				if err == nil || !strings.Contains(diagnostics, tc.want) {
					t.Errorf("error = %v, want %q in:\n%s", err, tc.want, diagnostics)
				}
			})
		}
	}
}

// TestFiles shows that the alerts and the dashboard arrive in the cluster as they are in
// charts/kiln/files, with the labels of the values.
func TestFiles(t *testing.T) {
	for kind, tc := range map[string]struct{ values, file, indent string }{
		"prometheusrule": {"metrics.prometheusRule.enabled=true,metrics.prometheusRule.labels.release=prometheus", "alerts.yaml", "  "},
		"dashboard":      {"metrics.dashboard.enabled=true,metrics.dashboard.labels.release=prometheus", "dashboard.json", "    "},
	} {
		for _, program := range helms {
			t.Run(kind+" with "+program, func(t *testing.T) {
				out, diagnostics, err := template(t, program, "1.29.0", "--values", filepath.Join("testdata", "default.values.yaml"),
					"--set", tc.values, "--show-only", "templates/"+kind+".yaml")
				if err != nil {
					t.Fatalf("%v\n%s", err, diagnostics)
				}
				data, err := os.ReadFile(filepath.Join(root, "charts", "kiln", "files", tc.file))
				if err != nil {
					t.Fatal(err)
				}
				indented := tc.indent + strings.ReplaceAll(strings.TrimSpace(string(data)), "\n", "\n"+tc.indent)
				if !strings.HasSuffix(strings.TrimSpace(out), strings.TrimLeft(indented, " ")) {
					t.Errorf("the object does not end with the file:\n%s", out)
				}
				if !strings.Contains(out, "\n    release: prometheus\n") {
					t.Errorf("no label of the values:\n%s", out)
				}
			})
		}
	}
}

// TestLint runs Helm's own checks.
func TestLint(t *testing.T) {
	for _, program := range helms {
		out, diagnostics, err := helm(t, program, "lint", "--strict", filepath.Join(root, "charts", "kiln"),
			"--values", filepath.Join("testdata", "full.values.yaml"))
		if err != nil {
			t.Errorf("%s lint: %v\n%s%s", program, err, out, diagnostics)
		}
	}
}
