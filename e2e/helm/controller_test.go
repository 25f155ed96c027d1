package helm_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// controllerCharts is a list of directories, divided like PATH, each with a chart
// gha-runner-scale-set of Actions Runner Controller. The repository has none.
const controllerCharts = "KILN_ARC_CHARTS"

// givenValues are what the GitHub side of a scale set needs.
const givenValues = `githubConfigUrl: https://github.com/acme
githubConfigSecret: acme
controllerServiceAccount: {namespace: arc-systems, name: arc-gha-rs-controller}
`

// rendered is what is read of the objects that the charts make.
type rendered struct {
	Kind     string `json:"kind"`
	Metadata struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Data map[string]string `json:"data"`
	Spec struct {
		Template struct {
			Spec podSpec `json:"spec"`
		} `json:"template"`
	} `json:"spec"`
}

type podSpec struct {
	ServiceAccountName string      `json:"serviceAccountName"`
	InitContainers     []container `json:"initContainers"`
	Containers         []container `json:"containers"`
	Volumes            []named     `json:"volumes"`
}

type container struct {
	Name string  `json:"name"`
	Env  []named `json:"env"`
	// Mounts are of volumes.
	Mounts []named `json:"volumeMounts"`
}

// named is an entry of a list by name.
type named struct {
	Name      string `json:"name"`
	Value     string `json:"value"`
	MountPath string `json:"mountPath"`
}

// TestController renders the overlays with the controller's own charts: in the runner's
// pod template, the runner calls kiln's hook once and alone, nothing is there twice, and
// what is mounted is there.
func TestController(t *testing.T) {
	charts := filepath.SplitList(os.Getenv(controllerCharts))
	if len(charts) == 0 {
		t.Skip(controllerCharts + " names no charts of Actions Runner Controller")
	}
	given := filepath.Join(t.TempDir(), "given.yaml")
	if err := os.WriteFile(given, []byte(givenValues), 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, overlay := range shownOverlays(t) {
		values := filepath.Join(t.TempDir(), mode+".yaml")
		if err := os.WriteFile(values, []byte(overlay), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, chart := range charts {
			for _, program := range helms {
				t.Run(mode+" with "+program+" and "+chart, func(t *testing.T) {
					out, diagnostics, err := helm(t, program, "template", "my-set", chart, "--namespace", "runners", "--values", given, "--values", values)
					if err != nil {
						t.Fatalf("%v\n%s", err, diagnostics)
					}
					wantOverlaid(t, objects(t, out), mode)
				})
			}
		}
	}
}

// shownOverlays are the overlays that kiln's chart shows, by mode.
func shownOverlays(t *testing.T) map[string]string {
	t.Helper()
	out, diagnostics, err := template(t, helms[0], "1.34.0", "--values", filepath.Join("testdata", "default.values.yaml"), "--show-only", "templates/overlays.yaml")
	if err != nil {
		t.Fatalf("%v\n%s", err, diagnostics)
	}
	return objects(t, out)[0].Data
}

// objects decodes what a chart makes.
func objects(t *testing.T, text string) []rendered {
	t.Helper()
	var all []rendered
	for document := range strings.SplitSeq("\n"+text, "\n---") {
		var object rendered
		if err := yaml.Unmarshal([]byte(document), &object); err != nil {
			t.Fatalf("%v in:\n%s", err, document)
		}
		if object.Kind != "" {
			all = append(all, object)
		}
	}
	return all
}

// wantOverlaid fails the test unless the objects are a scale set with kiln.
func wantOverlaid(t *testing.T, all []rendered, mode string) {
	t.Helper()
	i := slices.IndexFunc(all, func(o rendered) bool { return o.Kind == "AutoscalingRunnerSet" })
	if i < 0 {
		t.Fatal("no AutoscalingRunnerSet")
	}
	spec := all[i].Spec.Template.Spec
	account := map[string]string{"sealed": "kiln", "kubernetes": "my-set-gha-rs-kube-mode"}[mode]
	if spec.ServiceAccountName != account {
		t.Errorf("service account %q, want %q", spec.ServiceAccountName, account)
	}
	// What the chart of kiln and docs/install.md count on.
	made := slices.ContainsFunc(all, func(o rendered) bool { return o.Kind == "ServiceAccount" && o.Metadata.Name == account })
	if made != (mode == "kubernetes") {
		t.Errorf("the chart makes the service account %s: %v", account, made)
	}
	var names []string
	for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
		names = append(names, c.Name)
		once(t, "variable of "+c.Name, c.Env, func(n named) string { return n.Name })
		once(t, "mount of "+c.Name, c.Mounts, func(n named) string { return n.MountPath })
		for _, mount := range c.Mounts {
			if !slices.ContainsFunc(spec.Volumes, func(v named) bool { return v.Name == mount.Name }) {
				t.Errorf("container %s mounts %s, which is no volume", c.Name, mount.Name)
			}
		}
	}
	once(t, "volume", spec.Volumes, func(n named) string { return n.Name })
	if want := []string{"kiln", "runner"}; !slices.Equal(names, want) {
		t.Errorf("containers %q, want %q", names, want)
	}
	runner := spec.Containers[len(spec.Containers)-1]
	if !slices.Contains(runner.Env, named{Name: "ACTIONS_RUNNER_CONTAINER_HOOKS", Value: "/opt/kiln/hook.sh"}) {
		t.Errorf("the runner does not call kiln's hook: %+v", runner.Env)
	}
	if !slices.ContainsFunc(runner.Mounts, func(n named) bool { return n.Name == "work" && n.MountPath == "/home/runner/_work" }) {
		t.Errorf("the runner has no work volume: %+v", runner.Mounts)
	}
}

// once fails the test where two entries of a list have the same key: the API server
// refuses such a pod, and the controller gives the runner up.
func once(t *testing.T, what string, list []named, key func(named) string) {
	t.Helper()
	seen := map[string]bool{}
	for _, entry := range list {
		if seen[key(entry)] {
			t.Errorf("a %s is there twice: %s", what, key(entry))
		}
		seen[key(entry)] = true
	}
}
