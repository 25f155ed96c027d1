//go:build e2e

package e2e_test

import (
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/runner"
	"kiln/e2e/suite"
	"kiln/internal/scaleset"
)

// TestChart installs the chart with the real Helm, starts a runner pod from the overlay
// that it shows, builds and runs an action in it, and takes everything away again.
func TestChart(t *testing.T) {
	t.Parallel()
	for mode, program := range map[string]string{scaleset.Sealed: harness.Helm4, scaleset.Kubernetes: harness.Helm3} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := suite.Open(t)
			namespace := s.NewNamespace(t, "chart")
			o := harness.PodOptions{
				Name: "my-set-abcde-runner-fghij", Images: s.Images,
				Mode: mode, Delegate: suite.DelegateRoot + "/k8s/index.js", RegistryHost: s.Registry + "/" + namespace,
			}
			if mode == scaleset.Sealed && s.AuthRegistry != "" {
				o.RegistryHost, o.PullSecret = s.AuthRegistry+"/"+namespace, harness.PullSecret
			}
			installed, err := s.Install(t.Context(), program, namespace, o)
			if err != nil {
				t.Fatal(err)
			}
			o.Installed = installed
			useChart(t, s, namespace, o)
			if err := s.Helm(t.Context(), program, "uninstall", harness.Release, "--wait", "--namespace", namespace); err != nil {
				t.Fatal(err)
			}
			wantUninstalled(t, s, namespace)
		})
	}
}

// useChart plays steps in a runner pod made from the overlay as it is, and ends the runner.
func useChart(t *testing.T, s suite.Stage, namespace string, o harness.PodOptions) {
	t.Helper()
	pod, err := s.StartRunner(t.Context(), namespace, o)
	if err != nil {
		t.Fatal(err)
	}
	f := &suite.Fixture{Stage: s, Runner: pod, Installed: o.Installed}
	results := f.Use(t, s.Example("hello-shell"), harness.Use{With: map[string]string{"who-to-greet": "Mona Lisa"}}, suite.DelegateFiles())
	outcome.Log(t, results[0], "Mona Lisa")
	if results[0].ExitCode != 0 {
		t.Errorf("exit code = %d, want 0", results[0].ExitCode)
	}
	if o.Mode == scaleset.Kubernetes {
		f.WantDelegated(t, runner.Step{Raw: []byte(`{"command":"prepare_job","args":{"container":{"image":"node:22"},"services":[]},"state":null}` + "\n")}, nil)
	} else {
		j := f.Prepare(t, runner.Job{Container: &runner.Container{Image: "busybox"}}, nil)
		outcome.OwnLog(t, j.Run(t, "echo a step of the job\n"), "a step of the job\n")
		j.End(t)
	}
	if err := s.Kube.CoreV1().Pods(namespace).Delete(t.Context(), pod.Pod, metav1.DeleteOptions{GracePeriodSeconds: new(int64(1))}); err != nil {
		t.Fatal(err)
	}
}

// wantUninstalled fails the test if the namespace has more than before the chart.
func wantUninstalled(t *testing.T, s suite.Stage, namespace string) {
	t.Helper()
	client, err := metadata.NewForConfig(s.Config)
	if err != nil {
		t.Fatal(err)
	}
	given := []string{"configmaps/kube-root-ca.crt", "serviceaccounts/default", "serviceaccounts/" + harness.ScaleSetAccount, "secrets/" + harness.PullSecret}
	for _, kind := range []schema.GroupVersionResource{
		{Version: "v1", Resource: "configmaps"},
		{Version: "v1", Resource: "secrets"},
		{Version: "v1", Resource: "serviceaccounts"},
		{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "roles"},
		{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "rolebindings"},
		{Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"},
	} {
		list, err := client.Resource(kind).Namespace(namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range list.Items {
			if name := kind.Resource + "/" + item.Name; !slices.Contains(given, name) {
				t.Errorf("left in the namespace: %s", name)
			}
		}
	}
	left, err := s.Leftovers(t.Context(), namespace, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) > 0 {
		t.Errorf("left in the namespace: %v", left)
	}
}
