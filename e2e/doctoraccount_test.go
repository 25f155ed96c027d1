//go:build e2e

package e2e_test

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/sample"
	"kiln/e2e/suite"
)

// accountOfOld is an installation whose service account was made anew under the runner,
// as by an installation that was removed and is there again.
func accountOfOld() planted {
	return planted{
		name:   "account of old",
		adjust: func(*testing.T, suite.Stage, string, *harness.PodOptions) {},
		after: func(t *testing.T, f *suite.Fixture) {
			accounts := f.Kube.CoreV1().ServiceAccounts(f.Namespace)
			if err := accounts.Delete(t.Context(), "kiln", metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			if _, err := accounts.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "kiln"}}, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			leaveBehind(t, f, "my-set-gha-rs-no-permission")
			// The API server remembers for ten seconds that it took a token.
			var result *harness.Result
			for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); {
				if result = f.Play(t, sample.Shell(f.Busybox(), "true"), nil); result.ExitCode != 0 {
					break
				}
			}
			outcome.Error(t, result, "made anew, after the pod had started")
			outcome.Error(t, result, "[token_refused]")
		},
		powerless: true,

		inside:  map[string][2]string{"kubernetes": {"refuses the token", "kubectl delete ephemeralrunner runner"}},
		outside: map[string][2]string{"scale-sets": {"serviceaccount/my-set-gha-rs-no-permission", "kubectl patch serviceaccount/my-set-gha-rs-no-permission -n "}},
	}
}

// leaveBehind leaves a service account as an upgrade of a scale set does: deleted, and
// held by the controller's finalizer.
func leaveBehind(t *testing.T, f *suite.Fixture, name string) {
	t.Helper()
	accounts := f.Kube.CoreV1().ServiceAccounts(f.Namespace)
	held := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name, Finalizers: []string{"actions.github.com/cleanup-protection"}}}
	if _, err := accounts.Create(t.Context(), held, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		free := []byte(`{"metadata":{"finalizers":null}}`)
		if _, err := accounts.Patch(context.Background(), name, types.MergePatchType, free, metav1.PatchOptions{}); err != nil {
			t.Error(err)
		}
	})
	if err := accounts.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

// wantNoFailedStarts fails the test if an event tells of a container of doctor's that
// could not be started.
func wantNoFailedStarts(t *testing.T, f *suite.Fixture) {
	t.Helper()
	events, err := f.Kube.CoreV1().Events(f.Namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	started := 0
	for _, e := range events.Items {
		if !strings.HasPrefix(e.InvolvedObject.Name, "kiln-doctor-") {
			continue
		}
		switch e.Reason {
		case "Failed":
			t.Errorf("event of %s: %s", e.InvolvedObject.Name, e.Message)
		case "Started":
			started++
		}
	}
	if started == 0 {
		t.Error("no event tells of a container of doctor's: nothing was looked at")
	}
}
