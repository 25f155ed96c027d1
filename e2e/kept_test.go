//go:build e2e

package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/runner"
	"kiln/e2e/suite"
)

// TestKeptImage builds an image a second time for a registry that lets no tag be
// written twice: the image that it keeps runs, and the step warns.
func TestKeptImage(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "kept", nil)
	keeper := keepTags(t, f)
	g := f.Another(t, "keeper", func(o *harness.PodOptions) {
		o.DaemonEnv = map[string]string{
			"ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_HOST_PUSH": keeper + "/" + f.Namespace,
			"KILN_INSECURE_REGISTRIES":                              f.Insecure + "," + keeper,
			"KILN_REUSE_MAX_AGE":                                    "0",
		}
	})
	const warning = "::warning::kiln: the registry keeps the image that has the tag "
	first := lottery(t, g)
	outcome.Log(t, first, "kiln: reuse is off\n")
	if strings.Contains(first.Log, warning) {
		t.Errorf("a new tag is said to be kept:\n%s", outcome.Tail(first.Log))
	}
	again := lottery(t, g)
	outcome.Log(t, again, "kiln: reuse is off\n", warning+keeper+"/"+f.Namespace+"/")
	if drawn := again.Outputs["drawn"]; drawn == "" || drawn != first.Outputs["drawn"] {
		t.Errorf("the second step ran the image of %q, want the kept one of %q", drawn, first.Outputs["drawn"])
	}
	if n := len(f.BuildPods()); n != 2 {
		t.Errorf("%d build pods were seen, want 2", n)
	}
	g.WantNothingLeft(t)
}

// lottery plays an action whose every image is another one, and which says which
// one runs.
func lottery(t *testing.T, f *suite.Fixture) *harness.Result {
	t.Helper()
	const dockerfile = "_actions/acme/lottery/v1/Dockerfile"
	step := runner.Step{Repository: "acme/app", Dockerfile: dockerfile}
	result := f.Play(t, step, harness.Files{dockerfile: {Data: []byte(
		"FROM busybox\nRUN cat /proc/sys/kernel/random/uuid > /drawn\n" +
			"ENTRYPOINT [\"sh\", \"-c\", \"echo drawn=$(cat /drawn) >> $GITHUB_OUTPUT\"]\n",
	)}})
	outcome.Success(t, result)
	return result
}

// keepTags starts a registry in front of the one of the tests that lets no tag
// be written twice, and returns its address.
func keepTags(t *testing.T, f *suite.Fixture) string {
	t.Helper()
	const port = 5000
	upstream := "https://" + f.Registry
	if strings.Contains(","+f.Insecure+",", ","+f.Registry+",") {
		upstream = "http://" + f.Registry
	}
	_, err := f.Kube.CoreV1().Pods(f.Namespace).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "keep-tags", Labels: map[string]string{"kiln-harness": "true"}},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken: new(false),
			Containers: []corev1.Container{{
				Name: "registry", Image: f.Images.Runner, Args: []string{"keep-tags", fmt.Sprintf(":%d", port), upstream},
				ReadinessProbe: &corev1.Probe{PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{
					HTTPGet: &corev1.HTTPGetAction{Path: "/v2/", Port: intstr.FromInt32(port)},
				}},
			}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	address := ""
	err = f.Await(t.Context(), f.Namespace, "keep-tags", func(pod *corev1.Pod) (bool, error) {
		address = pod.Status.PodIP
		for _, c := range pod.Status.Conditions {
			if c.Type == corev1.PodReady {
				return c.Status == corev1.ConditionTrue, nil
			}
		}
		return false, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s:%d", address, port)
}
