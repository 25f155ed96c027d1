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

var update = flag.Bool("update", false, "write the golden files, as make generate does")

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
					t.Errorf("differs, see `make generate` (-want +got):\n%s", diff)
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
		"setting of the pod":   {set: "settings.KILN_LISTEN=:80", want: "settings.KILN_LISTEN is what the overlay of the runner pod fixes: leave it out"},
		"setting of a value":   {set: "settings.KILN_PULL_SECRET_NAME=x", want: "settings.KILN_PULL_SECRET_NAME is what the value registry.pullSecretName sets: write that in its place"},
		"setting of a proxy":   {set: "settings.HTTPS_PROXY=http://proxy:3128", want: "settings.HTTPS_PROXY is what the value proxy.https sets"},
		"list in one word":     {set: "imagePullSecrets=x", want: "at '/imagePullSecrets': got string, want array"},
		"switch":               {set: "networkPolicy.enabled=maybe", want: "at '/networkPolicy/enabled': got string, want boolean"},
		"port":                 {set: "networkPolicy.allow[0].cidr=10.0.0.1/32,networkPolicy.allow[0].ports[0]=70000", want: "at '/networkPolicy/allow/0/ports/0': maximum"},
		"mode":                 {set: "mode=dind", want: `mode is "dind": write sealed or kubernetes`},
		"novolume":             {set: "mode=kubernetes-novolume", want: `mode is "kubernetes-novolume": kiln does not support that containerMode`},
		"mode without sets":    {set: "mode=kubernetes", want: "scaleSets is empty: in mode kubernetes kiln uses the service account"},
		"scale set":            {set: "scaleSets={My Set}", want: `scaleSets has "My Set", which is no name of a scale set`},
		"range":                {set: "networkPolicy.cluster={10.0.0.1}", want: `networkPolicy.cluster has "10.0.0.1": write a range, such as`},
		"peer without address": {set: "networkPolicy.allow[0].ports[0]=1", want: "networkPolicy.allow has an entry that names nobody: give it cidr, or namespace"},
		"peer by host name":    {set: "networkPolicy.allow[0].cidr=proxy.example.com", want: `networkPolicy.allow has the cidr "proxy.example.com": write a range`},
		"peer with both":       {set: "networkPolicy.egress[0].cidr=10.0.0.1/32,networkPolicy.egress[0].namespace=a", want: "networkPolicy.egress has an entry with cidr and namespace: make two of it"},
		"image with a space":   {set: "image=a b", want: `image is "a b": write an image with registry and tag`},
		"image pull secret":    {set: "imagePullSecrets={My_Login}", want: `imagePullSecrets has "My_Login", which is no name in Kubernetes`},
		"host with a scheme":   {set: "registry.host=https://ghcr.io/acme", want: `registry.host is "https://ghcr.io/acme": write it without the scheme, as ghcr.io/acme`},
		"host with a tag":      {set: "registry.pushHost=ghcr.io/acme/kiln:v1", want: `registry.pushHost is "ghcr.io/acme/kiln:v1": write it without a tag, as ghcr.io/acme/kiln; kiln adds`},
		"host with a login":    {set: "registry.host=me:secret@ghcr.io/acme", want: "registry.host has an @: write the registry and path alone"},
		"host without domain":  {set: "registry.host=acme/kiln", want: `registry.host is "acme/kiln", which names no registry: write the host with its domain or port, such as docker.io/acme/kiln or acme:5000`},
		"host with capitals":   {set: "registry.pullHost=ghcr.io/Acme", want: `registry.pullHost is "ghcr.io/Acme": write a host, and after it a path of small letters`},
		"Secret":               {set: "registry.secretName=My Secret", want: `registry.secretName is "My Secret", which is no name in Kubernetes: write small letters`},
		"pull Secret":          {set: "registry.pullSecretName=a_b", want: `registry.pullSecretName is "a_b", which is no name`},
		"ConfigMap":            {set: "registry.caConfigMap=-", want: `registry.caConfigMap is "-", which is no name`},
		"proxy with a user":    {set: "proxy.https=http://me:hunter2@proxy:3128", want: "proxy.https has a user: write the URL into the key HTTPS_PROXY of a Secret"},
		"proxy twice":          {set: "proxy.http=http://proxy:3128,proxy.secretName=kiln-proxy", want: "proxy.http and proxy.secretName are both set: leave out the first"},
		"proxy without scheme": {set: "proxy.http=proxy:3128", want: `proxy.http is "proxy:3128": write a URL, such as http://proxy.example.com:3128`},
		"no proxy":             {set: "proxy.noProxy={$(X)}", want: `proxy.noProxy has "$(X)": write a host, a domain or a range`},
		"memory":               {set: "sidecar.resources.limits.memory=much", want: `sidecar.resources.limits.memory is "much": write a Kubernetes quantity, such as 512Mi, or "" for none`},
		"little memory":        {set: "sidecar.resources.limits.memory=135Mi", want: `sidecar.resources.limits.memory is "135Mi": write 136Mi or more`},
		"very little memory":   {set: "sidecar.resources.limits.memory=64M", want: `sidecar.resources.limits.memory is "64M": write 136Mi or more`},
		"handle":               {set: "runner.handle=some", want: `runner.handle is "some": write all, dockerfile or job`},
		"access mode":          {set: "runner.accessMode=ReadWriteOncePod", want: `runner.accessMode is "ReadWriteOncePod": write ReadWriteOnce or ReadWriteMany`},
		"anywhere":             {set: "settings.KILN_PLACEMENT=anywhere", want: `runner.accessMode is "ReadWriteOnce" and settings.KILN_PLACEMENT is "anywhere": write ReadWriteMany`},
		"request":              {set: "sidecar.resources.requests.cpu=", want: `sidecar.resources.requests.cpu is "": write a Kubernetes quantity`},
		"interval":             {set: "metrics.podMonitor.interval=often", want: `metrics.podMonitor.interval is "often": write a duration, such as 15s`},
		"two at once":          {set: "image=,registry.host=", want: "write --set image=registry.example.com/kiln:v1\nregistry.host is not set"},
		"old Kubernetes":       {kubernetes: "1.28.9", want: "requires kubeVersion: >=1.29.0-0 which is incompatible with Kubernetes v1.28.9"},
	} {
		for _, program := range helms {
			t.Run(name+" with "+program, func(t *testing.T) {
				if tc.kubernetes == "" {
					tc.kubernetes = "1.34.0"
				}
				_, diagnostics, err := template(t, program, tc.kubernetes,
					"--values", filepath.Join("testdata", "default.values.yaml"), "--set", tc.set)
				if err == nil || !strings.Contains(diagnostics, tc.want) || strings.Contains(diagnostics, "hunter2") {
					t.Errorf("error = %v, want %q in:\n%s", err, tc.want, diagnostics)
				}
			})
		}
	}
}

// TestVersions shows that the chart takes what clouds and pre-releases call their
// versions.
func TestVersions(t *testing.T) {
	for _, kubernetes := range []string{"1.29.0-rc.1", "v1.29.1-gke.1589018", "v1.30.4-eks-a737599", "1.31.2+k3s1", "1.37.0-alpha.0"} {
		for _, program := range helms {
			if _, diagnostics, err := template(t, program, kubernetes, "--values", filepath.Join("testdata", "default.values.yaml")); err != nil {
				t.Errorf("%s with Kubernetes %s: %v\n%s", program, kubernetes, err, diagnostics)
			}
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
