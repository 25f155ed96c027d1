//go:build e2e

package e2e_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/runner"
	"kiln/e2e/sample"
	"kiln/e2e/suite"
)

// pendingCase is a step whose pod cannot start, and what the step says of it.
type pendingCase struct {
	name    string
	step    func(marker string) (runner.Step, harness.Files)
	wait    string // a line of the log while the pod waits; "" for a pod that is refused
	errors  []string
	atLeast time.Duration // before this nobody gives up; 0 for a pod that is not waited for
}

// emptyBuild and emptyRun are steps that do nothing.
func emptyBuild(marker string) (runner.Step, harness.Files) {
	return sample.Build(marker, "FROM busybox\nENTRYPOINT [\"true\"]\n")
}

func emptyRun(marker string) (runner.Step, harness.Files) { return sample.Ready(marker, "true"), nil }

// pendingTimeout is what the steps here wait at most. Kiln asks several times by then what
// keeps the pod, which the cluster may tell late.
const pendingTimeout = 12 * time.Second

// pendingLimit guards against a step that hangs.
const pendingLimit = 3 * time.Minute

// TestPending has the cluster refuse pods or leave them waiting, for every
// reason that an operator meets: the step says why and ends with one error.
func TestPending(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "pending", func(_ suite.Stage, o *harness.PodOptions) { setPendingTimeout(o) })
	t.Run("quota", func(t *testing.T) {
		f.Quota(t, "no-more-pods", "0")
		pendingEach(t, f, []pendingCase{
			{name: "build", step: emptyBuild, errors: []string{"[admission_refused]", "exceeded quota", "raise the ResourceQuota of namespace " + f.Namespace}},
			{name: "run", step: emptyRun, wait: "exceeded quota", errors: []string{"[admission_refused]", "KILN_PENDING_TIMEOUT", "exceeded quota"}, atLeast: pendingTimeout},
		})
	})
	t.Run("Pod Security", func(t *testing.T) {
		restrict(t, f)
		pendingEach(t, f, []pendingCase{
			{name: "build", step: emptyBuild, errors: []string{"[admission_refused]", "violates PodSecurity", "label the namespace " + f.Namespace + " with pod-security.kubernetes.io/enforce=baseline"}},
			{name: "run", step: emptyRun, errors: []string{"[admission_refused]", "violates PodSecurity", "pod-security.kubernetes.io/enforce=baseline"}},
		})
	})
	t.Run("runners", func(t *testing.T) {
		t.Run("unschedulable", func(t *testing.T) {
			t.Parallel()
			g := f.Another(t, "unschedulable", func(o *harness.PodOptions) {
				f.GiveTemplates(t, o, "spec:\n  nodeSelector: {kiln-e2e/no-such: node}\n", "")
				setPendingTimeout(o)
			})
			pendingEach(t, g, []pendingCase{{
				name: "build", step: emptyBuild, wait: "no node can take the pod",
				errors: []string{"[unschedulable]", "KILN_PENDING_TIMEOUT", "no node can take the pod", "node affinity/selector"}, atLeast: pendingTimeout,
			}})
		})
		t.Run("no Kaniko image", func(t *testing.T) {
			t.Parallel()
			image := f.Registry + "/kaniko/none:v1"
			g := f.Another(t, "kaniko", func(o *harness.PodOptions) {
				// The pull is to fail, and not to take too long.
				o.DaemonEnv = map[string]string{"KILN_KANIKO_IMAGE": image, "KILN_PENDING_TIMEOUT": "1m"}
			})
			pendingEach(t, g, []pendingCase{{
				name: "build", step: emptyBuild, errors: []string{"[kaniko_image_pull]", "the node cannot pull image " + image},
			}})
		})
		t.Run("no registry Secret", func(t *testing.T) {
			t.Parallel()
			pendingWithoutSecret(t, f)
		})
	})
	f.WantNothingLeft(t)
}

// pendingWithoutSecret names a Secret that does not exist.
func pendingWithoutSecret(t *testing.T, f *suite.Fixture) {
	const secret = "no-such-secret"
	// Time for a pod to start and for a pull to fail, and less than nodes get to pull
	// what a registry refuses.
	const timeout = 30 * time.Second
	if f.AuthRegistry == "" {
		t.Skip("KILN_E2E_AUTH_REGISTRY is not set")
	}
	g := f.Another(t, "secret", func(o *harness.PodOptions) {
		o.RegistryHost = f.AuthRegistry + "/" + f.Namespace
		o.PullSecret = secret
		o.DaemonEnv = map[string]string{"KILN_PULL_SECRET_NAME": secret, "KILN_PENDING_TIMEOUT": timeout.String()}
	})
	pendingEach(t, g, []pendingCase{
		{name: "build", step: emptyBuild, errors: []string{"[registry_denied_push]", f.AuthRegistry, secret}},
		{
			name: "run", wait: secret, errors: []string{"[action_image_pull]", "KILN_PENDING_TIMEOUT", f.AuthRegistry, secret},
			step: func(marker string) (runner.Step, harness.Files) {
				return runner.Step{Repository: "acme/app", Image: f.AuthRegistry + "/" + marker + ":v1"}, nil
			},
			atLeast: timeout,
		},
	})
}

func setPendingTimeout(o *harness.PodOptions) {
	if o.DaemonEnv == nil {
		o.DaemonEnv = map[string]string{}
	}
	o.DaemonEnv["KILN_PENDING_TIMEOUT"] = pendingTimeout.String()
}

// pendingEach plays the cases at the same time.
func pendingEach(t *testing.T, f *suite.Fixture, cases []pendingCase) {
	t.Run("cases", func(t *testing.T) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				step, files := c.step("pending-" + c.name)
				result := f.Play(t, step, files)
				outcome.Error(t, result, c.errors...)
				wantWait(t, c, result)
			})
		}
	})
}

// wantWait fails the test unless the step waited as long as it had to, and
// said once why.
func wantWait(t *testing.T, c pendingCase, result *harness.Result) {
	t.Helper()
	if result.Duration < c.atLeast || result.Duration > pendingLimit {
		t.Errorf("the step took %v, want %v to %v:\n%s", result.Duration, c.atLeast, pendingLimit, outcome.Tail(result.Log))
	}
	if c.atLeast == 0 && strings.Contains(result.Log, "KILN_PENDING_TIMEOUT") {
		t.Errorf("the step waited for what cannot come:\n%s", outcome.Tail(result.Log))
	}
	said := 0
	for line := range strings.Lines(result.Log) {
		if strings.HasPrefix(line, "kiln: waiting: ") && strings.Contains(line, c.wait) {
			said++
		}
	}
	if c.wait != "" && said == 0 {
		t.Errorf("the log does not say %q while the pod waits:\n%s", c.wait, outcome.Tail(result.Log))
	}
}

// restrict has the namespace enforce the Pod Security level restricted until the
// test ends. Pods that are there stay.
func restrict(t *testing.T, f *suite.Fixture) {
	t.Helper()
	if err := enforce(t.Context(), f, "restricted"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := enforce(context.Background(), f, "baseline"); err != nil {
			t.Error(err)
		}
	})
}

// enforce has the namespace enforce a Pod Security level, and returns when pods are
// held to it: what admission knows of a namespace lags behind its labels.
func enforce(ctx context.Context, f *suite.Fixture, level string) error {
	patch := `{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"` + level + `"}}}`
	_, err := f.Kube.CoreV1().Namespaces().Patch(ctx, f.Namespace, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		return err
	}
	return harness.Eventually(ctx, 30*time.Second, func(ctx context.Context) error {
		err := tryPod(ctx, f)
		switch {
		case level != "restricted":
			return err
		case err == nil:
			return errors.New("a pod that is not restricted is admitted")
		case strings.Contains(err.Error(), "violates PodSecurity"):
			return nil
		}
		return err
	})
}

// tryPod asks whether the cluster would take a pod of the level baseline.
func tryPod(ctx context.Context, f *suite.Fixture) error {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "trial-"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "trial", Image: f.Busybox()}}},
	}
	_, err := f.Kube.CoreV1().Pods(f.Namespace).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	return err
}
