//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/suite"
)

// helms are the programs of both versions of Helm below bin/.
var helms = []string{"helm", "helm3"}

// helmIn runs Helm in a namespace, away from the settings of whoever runs the test,
// and returns all that it says.
func helmIn(t *testing.T, s suite.Stage, program, namespace string, args ...string) (string, error) {
	t.Helper()
	home := t.TempDir()
	cmd := exec.CommandContext(t.Context(), filepath.Join(s.Root, "bin", program), append(args, "--namespace", namespace)...)
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestChartObjects has objects in the namespace that cannot be what values name: no
// installation is made, and its message says which object, what it is and what to do.
// What a later installation finds, its notes do not ask for.
func TestChartObjects(t *testing.T) {
	t.Parallel()
	s := suite.Open(t)
	namespace := s.NewNamespace(t, "objects")
	meta := metav1.ObjectMeta{Name: "wrong"}
	if _, err := s.Kube.CoreV1().Secrets(namespace).Create(t.Context(), &corev1.Secret{ObjectMeta: meta}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Kube.CoreV1().ConfigMaps(namespace).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: meta}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	install := []string{"install", "kiln", filepath.Join(s.Root, "charts", "kiln"), "--set", "image=" + s.Images.Kiln + ",registry.host=" + s.Registry + "/" + namespace}
	for _, program := range helms {
		for set, want := range map[string]string{
			"registry.secretName=wrong":     `registry.secretName names the Secret "wrong" of type Opaque, which nodes and builds cannot use`,
			"registry.pullSecretName=wrong": `registry.pullSecretName names the Secret "wrong" of type Opaque`,
			"imagePullSecrets={wrong}":      `imagePullSecrets names the Secret "wrong" of type Opaque`,
			"proxy.secretName=wrong":        `proxy.secretName names the Secret "wrong" without a proxy: give it the keys HTTP_PROXY and HTTPS_PROXY`,
			"registry.caConfigMap=wrong":    `registry.caConfigMap names the ConfigMap "wrong" without authorities: give it the key ca.crt`,
		} {
			out, err := helmIn(t, s, program, namespace, append(install, "--set", set)...)
			if err == nil || !strings.Contains(out, want) {
				t.Errorf("%s with %s: error %v, want %q in:\n%s", program, set, err, want, out)
			}
		}
		for secret, asks := range map[string]bool{harness.PullSecret: s.AuthRegistry == "", "none-yet": true} {
			out, err := helmIn(t, s, program, namespace, append(install, "--set", "registry.secretName="+secret)...)
			if err != nil || strings.Contains(out, "kubectl create secret generic "+secret) != asks {
				t.Errorf("%s with the Secret %s: error %v, asks for it: want %v, in:\n%s", program, secret, err, asks, out)
			}
			if out, err := helmIn(t, s, program, namespace, "uninstall", "kiln", "--wait"); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		}
	}
}

// TestChartReach installs kiln behind a proxy that does not answer, with a Secret for
// pulls of base images alone, and a memory limit of its own. A step works only where
// the API server and the registries are reached without the proxy, and where look-ups
// and gates have the pull Secret's credentials.
func TestChartReach(t *testing.T) {
	t.Parallel()
	s := suite.Open(t)
	push := os.Getenv("KILN_E2E_AUTH_REGISTRY_PUSH")
	if s.AuthRegistry == "" || push == "" {
		t.Skip("KILN_E2E_AUTH_REGISTRY or KILN_E2E_AUTH_REGISTRY_PUSH is not set")
	}
	namespace := s.NewNamespace(t, "reach")
	seen, err := s.Observe(context.Background(), namespace)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(seen.Stop)
	if err := copyBase(t.Context(), s, push+"/"+namespace+"/base:v1"); err != nil {
		t.Fatal(err)
	}
	out, err := helmIn(t, s, "helm", namespace, "install", "kiln", filepath.Join(s.Root, "charts", "kiln"), "--values", reachValues(t, s, namespace))
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	f := &suite.Fixture{Stage: s, Runner: sealedRunner(t, s, namespace), Seen: seen}
	action := t.TempDir()
	dockerfile := "FROM " + s.AuthRegistry + "/" + namespace + "/base:v1\nRUN true\nENTRYPOINT [\"/bin/echo\", \"greetings\"]\n"
	if err := os.WriteFile(filepath.Join(action, "Dockerfile"), []byte(dockerfile), 0o600); err != nil {
		t.Fatal(err)
	}
	results := f.Use(t, action, harness.Use{}, nil)
	outcome.Success(t, results...)
	outcome.Log(t, results[0], "greetings\n")
	wantReach(t, f)
	if out, err := helmIn(t, s, "helm", namespace, "uninstall", "kiln", "--wait"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	f.WantNothingLeft(t)
}

// copyBase copies a small image into the registry that wants basic auth.
func copyBase(ctx context.Context, s suite.Stage, target string) error {
	from, err := name.ParseReference(s.RegistryPush+"/library/busybox:latest", name.Insecure)
	if err != nil {
		return err
	}
	to, err := name.ParseReference(target, name.Insecure)
	if err != nil {
		return err
	}
	img, err := remote.Image(from, remote.WithContext(ctx))
	if err != nil {
		return fmt.Errorf("read base image: %w", err)
	}
	login := remote.WithAuth(&authn.Basic{Username: s.AuthUser, Password: s.AuthPassword})
	return remote.Write(to, img, remote.WithContext(ctx), login)
}

// reachValues writes the values of TestChartReach to a file. Nobody listens at the
// proxy's address, in no container.
func reachValues(t *testing.T, s suite.Stage, namespace string) string {
	t.Helper()
	const proxy = "http://127.0.0.1:9"
	var direct []string
	for _, registry := range []string{s.Registry, s.AuthRegistry} {
		host, _, _ := strings.Cut(registry, ":")
		direct = append(direct, host)
	}
	settings := map[string]any{}
	for name, value := range map[string]string{
		"KILN_KANIKO_IMAGE": s.KanikoImage, "KILN_KANIKO_FLAVOR": s.KanikoFlavor,
		"KILN_REGISTRY_MIRRORS": s.Mirrors, "KILN_INSECURE_REGISTRIES": s.Insecure, "KILN_PLAIN_LOGIN": s.AuthRegistry,
	} {
		if value != "" {
			settings[name] = value
		}
	}
	data, err := yaml.Marshal(map[string]any{
		"image": s.Images.Kiln, "imagePullSecrets": []string{harness.PullSecret}, "settings": settings,
		"registry": map[string]any{"host": s.Registry + "/" + namespace, "secretName": "", "pullSecretName": harness.PullSecret},
		"proxy":    map[string]any{"http": proxy, "https": proxy, "noProxy": direct},
		"sidecar":  map[string]any{"resources": map[string]any{"limits": map[string]any{"memory": "256Mi"}}},
		"runner":   map[string]any{"image": s.Images.Runner, "workSize": "1Gi", "storageClass": s.StorageClass},
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// sealedRunner starts a runner pod from the overlay of sealed mode that the chart shows.
func sealedRunner(t *testing.T, s suite.Stage, namespace string) *harness.Runner {
	t.Helper()
	overlays, err := s.Kube.CoreV1().ConfigMaps(namespace).Get(t.Context(), "kiln-overlays", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var values struct {
		Template corev1.PodTemplateSpec `json:"template"`
	}
	if err := yaml.UnmarshalStrict([]byte(overlays.Data["sealed"]), &values); err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "runner", Labels: values.Template.Labels}, Spec: values.Template.Spec}
	pod.Labels["kiln-harness"] = "true" // no leftover of kiln's
	pod.Spec.RestartPolicy = corev1.RestartPolicyNever
	pod.Spec.Containers[0].Command = nil // the stand-in's image has its own
	if _, err := s.Kube.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	runner, err := s.AwaitRunner(t.Context(), namespace, pod.Name)
	if err != nil {
		t.Fatal(err)
	}
	return runner
}

// wantReach looks at what the pods of builds and of actions have of the values.
func wantReach(t *testing.T, f *suite.Fixture) {
	t.Helper()
	builds, jobs := f.Seen.With("kaniko"), f.Seen.With("job")
	if len(builds) != 1 || len(jobs) != 1 {
		t.Fatalf("%d build pods and %d pods of actions, want one of each", len(builds), len(jobs))
	}
	login := corev1.LocalObjectReference{Name: harness.PullSecret}
	for _, pod := range slices.Concat(builds, jobs) {
		if !slices.Contains(pod.Spec.ImagePullSecrets, login) {
			t.Errorf("pod %s has the pull secrets %v", pod.Name, pod.Spec.ImagePullSecrets)
		}
	}
	gate := harness.Container(builds[0], "gate")
	for _, e := range gate.Env {
		if e.Name == "NO_PROXY" && strings.Contains(e.Value, "$") {
			t.Errorf("the address of the API server is not put in: %s", e.Value)
		}
	}
	if !slices.ContainsFunc(gate.Env, func(e corev1.EnvVar) bool { return e.Name == "HTTPS_PROXY" && e.Value != "" }) {
		t.Errorf("the gate has no proxy: %v", gate.Env)
	}
	if args := strings.Join(gate.Args, " "); !strings.Contains(args, "pull-docker-config") {
		t.Errorf("the gate has no pull Secret: %s", args)
	}
}
