//go:build e2e

package e2e_test

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kiln/e2e/harness"
	"kiln/e2e/runner"
)

// pendingCase is a step whose pod cannot start, and what the step says of it.
type pendingCase struct {
	name    string
	step    func(marker string) (runner.Step, harness.Files)
	wait    string // a line of the log while the pod waits; "" for a pod that is refused
	errors  []string
	atLeast time.Duration // before this nobody gives up
	atMost  time.Duration
}

// emptyBuild and emptyRun are steps that do nothing.
func emptyBuild(marker string) (runner.Step, harness.Files) {
	return plainBuild("FROM busybox\nENTRYPOINT [\"true\"]\n")(marker)
}

func emptyRun(marker string) (runner.Step, harness.Files) { return readyStep(marker, "true"), nil }

// pendingTimeout is what the steps here wait at most.
const pendingTimeout = 8 * time.Second

// TestPending has the cluster refuse pods or leave them waiting, for every
// reason that an operator meets: the step says why and ends with one error.
func TestPending(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "pending", func(_ stage, o *harness.PodOptions) { setPendingTimeout(o) })
	t.Run("quota", func(t *testing.T) {
		f.setQuota(t)
		f.pendingEach(t, []pendingCase{
			{name: "build", step: emptyBuild, errors: []string{"[admission_refused]", "exceeded quota", "raise the ResourceQuota of namespace " + f.Namespace}, atMost: pendingTimeout},
			{name: "run", step: emptyRun, wait: "exceeded quota", errors: []string{"[admission_refused]", "KILN_PENDING_TIMEOUT", "exceeded quota"}, atLeast: pendingTimeout, atMost: 3 * pendingTimeout},
		})
	})
	t.Run("Pod Security", func(t *testing.T) {
		f.enforce(t, "restricted")
		f.pendingEach(t, []pendingCase{
			{name: "build", step: emptyBuild, errors: []string{"[admission_refused]", "violates PodSecurity", "label the namespace " + f.Namespace + " with pod-security.kubernetes.io/enforce=baseline"}, atMost: pendingTimeout},
			{name: "run", step: emptyRun, errors: []string{"[admission_refused]", "violates PodSecurity", "pod-security.kubernetes.io/enforce=baseline"}, atMost: 3 * pendingTimeout},
		})
	})
	t.Run("runners", func(t *testing.T) {
		t.Run("unschedulable", func(t *testing.T) {
			t.Parallel()
			g := f.another(t, "unschedulable", func(o *harness.PodOptions) {
				f.giveTemplates(t, o, "spec:\n  nodeSelector: {kiln-e2e/no-such: node}\n", "")
				setPendingTimeout(o)
			})
			g.pendingEach(t, []pendingCase{{
				name: "build", step: emptyBuild, wait: "no node can take the pod",
				errors: []string{"[unschedulable]", "KILN_PENDING_TIMEOUT", "no node can take the pod", "node affinity/selector"}, atLeast: pendingTimeout, atMost: 3 * pendingTimeout,
			}})
		})
		t.Run("no Kaniko image", func(t *testing.T) {
			t.Parallel()
			image := f.Registry + "/kaniko/none:v1"
			g := f.another(t, "kaniko", func(o *harness.PodOptions) {
				// The pull is to fail, and not to take too long.
				o.DaemonEnv = map[string]string{"KILN_KANIKO_IMAGE": image, "KILN_PENDING_TIMEOUT": "1m"}
			})
			g.pendingEach(t, []pendingCase{{
				name: "build", step: emptyBuild, errors: []string{"[kaniko_image_pull]", "the node cannot pull image " + image}, atMost: time.Minute,
			}})
		})
		t.Run("no registry Secret", func(t *testing.T) {
			t.Parallel()
			f.pendingWithoutSecret(t)
		})
	})
	f.wantNothingLeft(t)
}

// pendingWithoutSecret names a Secret that does not exist.
func (f *fixture) pendingWithoutSecret(t *testing.T) {
	const secret = "no-such-secret"
	if f.AuthRegistry == "" {
		t.Skip("KILN_E2E_AUTH_REGISTRY is not set")
	}
	g := f.another(t, "secret", func(o *harness.PodOptions) {
		o.RegistryHost = f.AuthRegistry + "/" + f.Namespace
		o.PullSecret = secret
		o.DaemonEnv = map[string]string{"KILN_PULL_SECRET_NAME": secret}
		setPendingTimeout(o)
	})
	g.pendingEach(t, []pendingCase{
		{name: "build", step: emptyBuild, errors: []string{"[registry_denied_push]", f.AuthRegistry, secret}, atMost: time.Minute},
		{
			name: "run", wait: secret, errors: []string{"[action_image_pull]", "KILN_PENDING_TIMEOUT", f.AuthRegistry, secret},
			step: func(marker string) (runner.Step, harness.Files) {
				return runner.Step{Repository: "acme/app", Image: f.AuthRegistry + "/" + marker + ":v1"}, nil
			},
			atLeast: pendingTimeout, atMost: 3 * pendingTimeout,
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
func (f *fixture) pendingEach(t *testing.T, cases []pendingCase) {
	t.Run("cases", func(t *testing.T) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				step, files := c.step("pending-" + c.name)
				result, err := f.Step(t.Context(), step, files, nil)
				if err != nil {
					t.Fatal(err)
				}
				wantError(t, result, c.errors...)
				f.wantWait(t, c, result)
			})
		}
	})
}

// wantWait fails the test unless the step waited as long as it had to, and
// said once why.
func (f *fixture) wantWait(t *testing.T, c pendingCase, result *harness.Result) {
	t.Helper()
	if result.Duration < c.atLeast || result.Duration > c.atMost {
		t.Errorf("the step took %v, want %v to %v:\n%s", result.Duration, c.atLeast, c.atMost, tail(result.Log))
	}
	said := 0
	for line := range strings.Lines(result.Log) {
		if strings.HasPrefix(line, "kiln: waiting: ") && strings.Contains(line, c.wait) {
			said++
		}
	}
	if c.wait != "" && said == 0 {
		t.Errorf("the log does not say %q while the pod waits:\n%s", c.wait, tail(result.Log))
	}
}

// setQuota lets no further pod into the namespace until the test ends.
func (f *fixture) setQuota(t *testing.T) {
	t.Helper()
	const name = "no-more-pods"
	quotas := f.Kube.CoreV1().ResourceQuotas(f.Namespace)
	quota := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}},
	}
	if _, err := quotas.Create(t.Context(), quota, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := quotas.Delete(context.Background(), name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	// It holds once the cluster has counted what there is.
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		quota, err := quotas.Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(quota.Status.Hard) > 0 {
			return
		}
	}
	t.Fatal("the quota was not counted within 30s")
}

// enforce has the namespace enforce another Pod Security level until the test
// ends. Pods that are there stay.
func (f *fixture) enforce(t *testing.T, level string) {
	t.Helper()
	set := func(ctx context.Context, level string) error {
		patch := `{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"` + level + `"}}}`
		_, err := f.Kube.CoreV1().Namespaces().Patch(ctx, f.Namespace, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
		return err
	}
	if err := set(t.Context(), level); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := set(context.Background(), "baseline"); err != nil {
			t.Error(err)
		}
	})
}
