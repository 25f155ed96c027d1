package scaleset_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"sigs.k8s.io/yaml"

	"kiln/internal/scaleset"
)

// hooks is the one variable of the controller's chart that an overlay replaces, and
// started one of the runner's that it adds.
const (
	hooks   = "ACTIONS_RUNNER_CONTAINER_HOOKS"
	started = "ACTIONS_RUNNER_HOOK_JOB_STARTED"
)

// own returns the pod template that the controller's chart makes by itself: its
// rendering without what is called after kiln.
func own(t *testing.T, mode string) corev1.PodTemplateSpec {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "arc-"+mode+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var set scaleSet // not strictly: the test data is a whole scale set
	if err := yaml.Unmarshal(data, &set); err != nil {
		t.Fatal(err)
	}
	template := set.Spec.Template
	kilns := func(name string) bool { return strings.HasPrefix(strings.ToLower(name), "kiln") }
	template.Labels = nil
	spec := &template.Spec
	spec.InitContainers = slices.DeleteFunc(spec.InitContainers, func(c corev1.Container) bool { return kilns(c.Name) })
	spec.Volumes = slices.DeleteFunc(spec.Volumes, func(v corev1.Volume) bool { return kilns(v.Name) })
	for i := range spec.Containers {
		c := &spec.Containers[i]
		c.Env = slices.DeleteFunc(c.Env, func(e corev1.EnvVar) bool { return kilns(e.Name) || e.Name == started })
		c.VolumeMounts = slices.DeleteFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return kilns(m.Name) })
	}
	return template
}

// merged applies an overlay to the chart's own template as the API server does: lists
// by name, as the types of Kubernetes and the resource definitions of the controller say.
func merged(t *testing.T, base corev1.PodTemplateSpec, applied string) corev1.PodTemplateSpec {
	t.Helper()
	var patch struct {
		Spec struct {
			Template map[string]any `json:"template"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal([]byte(applied), &patch); err != nil {
		t.Fatal(err)
	}
	encode := func(v any) []byte {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	result, err := strategicpatch.StrategicMergePatch(encode(base), encode(patch.Spec.Template), corev1.PodTemplateSpec{})
	if err != nil {
		t.Fatal(err)
	}
	return strictly[corev1.PodTemplateSpec](t, string(result))
}

// TestControllerParts shows that nothing that the controller's chart renders is lost
// or doubled, but for the hook that kiln stands in for.
func TestControllerParts(t *testing.T) {
	for _, mode := range []string{scaleset.Sealed, scaleset.Kubernetes} {
		t.Run(mode, func(t *testing.T) {
			_, applied := overlays(t, full(mode))
			base := own(t, mode)
			got := merged(t, base, applied)
			sound(t, got.Spec, false)
			runner, was := got.Spec.Containers[0], base.Spec.Containers[0]
			if runner.Name != "runner" || len(got.Spec.Containers) != 1 {
				t.Fatalf("%d containers, the first is %s", len(got.Spec.Containers), runner.Name)
			}
			if runner.Image != was.Image || !slices.Equal(runner.Command, was.Command) {
				t.Errorf("the runner has image %q and command %q", runner.Image, runner.Command)
			}
			for _, e := range was.Env {
				want := e
				if e.Name == hooks {
					want.Value = "/opt/kiln/hook.sh"
				}
				if i := slices.IndexFunc(runner.Env, func(o corev1.EnvVar) bool { return o.Name == e.Name }); i < 0 || !cmp.Equal(runner.Env[i], want) {
					t.Errorf("variable %s is not what the chart set", e.Name)
				}
			}
			for _, m := range was.VolumeMounts {
				if !slices.ContainsFunc(runner.VolumeMounts, func(o corev1.VolumeMount) bool { return cmp.Equal(o, m) }) {
					t.Errorf("mount %s is not what the chart set", m.MountPath)
				}
			}
			if mode == scaleset.Kubernetes {
				if got.Spec.ServiceAccountName != "my-set-gha-rs-kube-mode" || got.Spec.AutomountServiceAccountToken != nil {
					t.Errorf("service account %q: the stock hook needs the chart's", got.Spec.ServiceAccountName)
				}
				if !slices.ContainsFunc(got.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == "work" && v.Ephemeral != nil }) {
					t.Error("the chart's work volume is gone")
				}
			}
		})
	}
}
