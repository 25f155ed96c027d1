package scaleset_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"kiln/internal/golden"
	"kiln/internal/scaleset"
)

// full are settings with every optional part of an overlay.
func full(mode string) scaleset.Settings {
	return scaleset.Settings{
		Mode: mode, Image: "registry.example.com/kiln:dev", RegistrySecret: "kiln-registry",
		PullSecret: "base-images", CAConfigMap: "registry-ca", IdentityAudience: "sts.amazonaws.com", StorageClass: "standard", WorkSize: "20Gi",
		ImagePullSecrets: []string{"registry-login"},
		Proxy:            scaleset.Proxy{HTTP: "http://proxy.example.com:3128", HTTPS: "http://proxy.example.com:3129", No: []string{".example.com"}},
		Resources:        scaleset.Resources{CPULimit: "500m"},
	}
}

// values are those of gha-runner-scale-set that an overlay sets.
type values struct {
	ContainerMode *struct {
		Type  string                           `json:"type"`
		Claim corev1.PersistentVolumeClaimSpec `json:"kubernetesModeWorkVolumeClaim"`
	} `json:"containerMode,omitempty"`
	Template corev1.PodTemplateSpec `json:"template"`
}

// scaleSet is an AutoscalingRunnerSet as far as an overlay sets it.
type scaleSet struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Template corev1.PodTemplateSpec `json:"template"`
	} `json:"spec"`
}

// strictly decodes YAML and fails on a field that the type does not have.
func strictly[T any](t *testing.T, text string) T {
	t.Helper()
	var out T
	if err := yaml.UnmarshalStrict([]byte(text), &out); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	return out
}

func must(t *testing.T, text string, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// overlays returns both forms of the overlay of a mode.
func overlays(t *testing.T, s scaleset.Settings) (helm, applied string) {
	t.Helper()
	helm, err := scaleset.Values(s)
	helm = must(t, helm, err)
	applied, err = scaleset.Apply(s, "my-set", "arc-runners")
	return helm, must(t, applied, err)
}

func TestGolden(t *testing.T) {
	for _, mode := range []string{scaleset.Sealed, scaleset.Kubernetes} {
		helm, applied := overlays(t, full(mode))
		for name, got := range map[string]string{mode + ".yaml": helm, mode + "-apply.yaml": applied} {
			t.Run(name, func(t *testing.T) {
				golden.File(t, filepath.Join("testdata", name), got)
			})
		}
	}
}

// TestForms shows that what is applied is the template of the values, but for the parts
// of the runner container that the scale set has already.
func TestForms(t *testing.T) {
	for _, mode := range []string{scaleset.Sealed, scaleset.Kubernetes} {
		t.Run(mode, func(t *testing.T) {
			helm, applied := overlays(t, full(mode))
			want := strictly[values](t, helm).Template
			runner := &want.Spec.Containers[0]
			if runner.Image != scaleset.DefaultRunnerImage || len(runner.Command) != 1 {
				t.Errorf("the runner has image %q and command %q", runner.Image, runner.Command)
			}
			runner.Image, runner.Command = "", nil
			set := strictly[scaleSet](t, applied)
			if diff := cmp.Diff(want, set.Spec.Template); diff != "" {
				t.Errorf("the forms differ (-values +applied):\n%s", diff)
			}
			if set.Name != "my-set" || set.Namespace != "arc-runners" || set.Kind != "AutoscalingRunnerSet" {
				t.Errorf("applied to %s %s/%s", set.Kind, set.Namespace, set.Name)
			}
		})
	}
}

// TestSealed holds the sealed overlay to its name: no container mode and no delegate,
// and the token, the credentials and the state in the kiln container alone.
func TestSealed(t *testing.T) {
	helm, _ := overlays(t, full(scaleset.Sealed))
	got := strictly[values](t, helm)
	spec := got.Template.Spec
	if got.ContainerMode != nil {
		t.Error("a container mode is set")
	}
	if spec.ServiceAccountName != "kiln" || spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken {
		t.Errorf("service account %q, token mounted in every container: %v", spec.ServiceAccountName, spec.AutomountServiceAccountToken)
	}
	for _, c := range containers(spec) {
		for _, volume := range []string{"kiln-token", "kiln-registry", "kiln-pull", "kiln-identity", "kiln-state"} {
			mounts := slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == volume })
			if wants := c.Name == "kiln"; mounts != wants {
				t.Errorf("container %s mounts %s: got %v, want %v", c.Name, volume, mounts, wants)
			}
		}
		if slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == "KILN_DELEGATE" }) {
			t.Errorf("container %s has a delegate", c.Name)
		}
	}
}

// TestWithoutOptionalParts shows what an overlay without a registry's Secret and a
// storage class leaves out.
func TestWithoutOptionalParts(t *testing.T) {
	for _, mode := range []string{scaleset.Sealed, scaleset.Kubernetes} {
		helm, applied := overlays(t, scaleset.Settings{Mode: mode, Image: "kiln:dev"})
		for _, text := range []string{helm, applied} {
			for _, word := range []string{"kiln-registry", "KILN_DOCKER_CONFIG", "kiln-pull", "KILN_PULL", "kiln-ca", "KILN_CA", "kiln-identity", "storageClassName", "_PROXY", "imagePullSecrets:"} {
				if strings.Contains(text, word) {
					t.Errorf("%s: has %s:\n%s", mode, word, text)
				}
			}
		}
		sound(t, strictly[values](t, helm).Template.Spec, mode == scaleset.Kubernetes)
	}
}

// TestProxySecret shows that the URLs come out of a Secret that need not be there, and
// that the API server is reached without a proxy.
func TestProxySecret(t *testing.T) {
	s := full(scaleset.Sealed)
	s.Proxy = scaleset.Proxy{Secret: "kiln-proxy", No: []string{"10.0.0.0/8"}}
	helm, _ := overlays(t, s)
	kiln := strictly[values](t, helm).Template.Spec.InitContainers[0]
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY"} {
		want := corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: "kiln-proxy"}, Key: name, Optional: new(true),
		}}}
		if !slices.ContainsFunc(kiln.Env, func(e corev1.EnvVar) bool { return cmp.Equal(e, want) }) {
			t.Errorf("%s is not the Secret's: %v", name, kiln.Env)
		}
	}
	i := slices.IndexFunc(kiln.Env, func(e corev1.EnvVar) bool { return e.Name == "NO_PROXY" })
	if i < 0 || !strings.HasPrefix(kiln.Env[i].Value, "$(KUBERNETES_SERVICE_HOST),") || !strings.HasSuffix(kiln.Env[i].Value, ",10.0.0.0/8") {
		t.Errorf("variable %d of %v is not NO_PROXY with the API server and the range", i, kiln.Env)
	}
}

// TestResources shows that both of kiln's containers have the same, which costs a pod no
// more: the first ends before the second begins.
func TestResources(t *testing.T) {
	for limit, want := range map[string]string{"": scaleset.DefaultMemoryLimit, "1Gi": "1Gi", scaleset.NoLimit: "0"} {
		s := full(scaleset.Sealed)
		s.Resources = scaleset.Resources{MemoryLimit: limit}
		helm, _ := overlays(t, s)
		for _, c := range strictly[values](t, helm).Template.Spec.InitContainers {
			if got := c.Resources.Limits.Memory().String(); got != want {
				t.Errorf("memory limit %q: %s has %s, want %s", limit, c.Name, got, want)
			}
			if got := c.Resources.Requests.Memory().String(); got != scaleset.DefaultMemoryRequest {
				t.Errorf("%s requests %s of memory", c.Name, got)
			}
		}
	}
}

// containers returns all containers of a pod, in the order of their start.
func containers(spec corev1.PodSpec) []corev1.Container {
	return slices.Concat(spec.InitContainers, spec.Containers)
}

// sound fails on what the API server refuses, for the controller then gives the runner
// up for good: names twice, and mounts without a volume. Where workGiven, the chart
// adds the volume called work.
func sound(t *testing.T, spec corev1.PodSpec, workGiven bool) {
	t.Helper()
	var volumes, names []string
	for _, v := range spec.Volumes {
		volumes = append(volumes, v.Name)
	}
	unique(t, "volume", volumes)
	if workGiven {
		volumes = append(volumes, "work")
	}
	for _, c := range containers(spec) {
		names = append(names, c.Name)
		var env, paths []string
		for _, e := range c.Env {
			env = append(env, e.Name)
		}
		for _, m := range c.VolumeMounts {
			paths = append(paths, m.MountPath)
			if !slices.Contains(volumes, m.Name) {
				t.Errorf("container %s mounts %s, which is no volume", c.Name, m.Name)
			}
		}
		unique(t, "variable of "+c.Name, env)
		unique(t, "mount of "+c.Name, paths)
	}
	unique(t, "container", names)
}

func unique(t *testing.T, what string, names []string) {
	t.Helper()
	slices.Sort(names)
	if once := slices.Compact(slices.Clone(names)); len(once) != len(names) {
		t.Errorf("a %s is there twice: %v", what, names)
	}
}

func TestFaultsNameTheSetting(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*scaleset.Settings)
		want   string
	}{
		"pull secret":       {func(s *scaleset.Settings) { s.PullSecret = "a_b" }, `the pull secret is "a_b": write it as kiln-pull`},
		"image pull secret": {func(s *scaleset.Settings) { s.ImagePullSecrets = []string{"ok", "A"} }, `an image pull secret is "A"`},
		"proxy":             {func(s *scaleset.Settings) { s.Proxy.HTTP = "proxy:3128" }, `the HTTP proxy is "proxy:3128": write it as http://`},
		"proxy's user":      {func(s *scaleset.Settings) { s.Proxy.HTTPS = "http://me:hunter2@proxy" }, "the URL of the HTTPS proxy has a user: write it into the key HTTPS_PROXY of a Secret"},
		"proxy twice":       {func(s *scaleset.Settings) { s.Proxy.Secret = "kiln-proxy" }, "both the HTTP proxy and the proxy secret are set"},
		"proxy's secret":    {func(s *scaleset.Settings) { s.Proxy = scaleset.Proxy{Secret: "A"} }, `the proxy secret is "A"`},
		"no proxy":          {func(s *scaleset.Settings) { s.Proxy.No = []string{"$(X)"} }, `a host without proxy is "$(X)"`},
		"CPU":               {func(s *scaleset.Settings) { s.Resources.CPULimit = "all" }, `the CPU limit is "all": write a Kubernetes quantity`},
		"memory":            {func(s *scaleset.Settings) { s.Resources.MemoryLimit = "0" }, `the memory limit is "0"`},
		"no image":          {func(s *scaleset.Settings) { s.Image = "" }, "the image is not set"},
		"image":             {func(s *scaleset.Settings) { s.Image = "kiln\"\nx" }, `the image is "kiln\"\nx": write it as`},
		"mode":              {func(s *scaleset.Settings) { s.Mode = "dind" }, `the mode is "dind": write sealed or kubernetes`},
		"novolume":          {func(s *scaleset.Settings) { s.Mode = "kubernetes-novolume" }, "kiln does not support the mode kubernetes-novolume"},
		"size":              {func(s *scaleset.Settings) { s.WorkSize = "big" }, `the size of the work volume is "big"`},
		"little memory":     {func(s *scaleset.Settings) { s.Resources.MemoryLimit = "135Mi" }, "the memory limit of the kiln container is 135 MiB: set 136 MiB or more, or none"},
		"access mode":       {func(s *scaleset.Settings) { s.AccessMode = "ReadWriteOncePod" }, `the access mode of the work volume is "ReadWriteOncePod"`},
		"negative size":     {func(s *scaleset.Settings) { s.WorkSize = "-1Gi" }, `the size of the work volume is "-1Gi"`},
		"secret":            {func(s *scaleset.Settings) { s.RegistrySecret = "A b" }, `the registry secret is "A b"`},
		"authorities":       {func(s *scaleset.Settings) { s.CAConfigMap = "-" }, `the ConfigMap of certificate authorities is "-"`},
		"class":             {func(s *scaleset.Settings) { s.StorageClass = "x: y" }, `the storage class is "x: y"`},
		"handle":            {func(s *scaleset.Settings) { s.Handle = "some" }, `handle is "some": write all, dockerfile or job`},
		"delegate":          {func(s *scaleset.Settings) { s.Delegate = "index.js" }, `the delegate is "index.js": write it as /home/`},
		"delegate's ending": {func(s *scaleset.Settings) { s.Delegate = "/hook" }, `the delegate is "/hook"`},
		"runner image":      {func(s *scaleset.Settings) { s.RunnerImage = "a b" }, `the runner image is "a b"`},
	} {
		t.Run(name, func(t *testing.T) {
			s := full(scaleset.Kubernetes)
			tc.change(&s)
			if _, err := scaleset.Values(s); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error = %v, want %q", err, tc.want)
			} else if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("a password is in the error %v", err)
			}
		})
	}
	for _, name := range []string{"", "My-Set", "a.b", strings.Repeat("a", 64)} {
		if _, err := scaleset.Apply(full(scaleset.Sealed), name, "n"); err == nil {
			t.Errorf("Apply took the scale set %q", name)
		}
	}
}
