package podwait

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/failure"
	"kiln/internal/podrun"
	"kiln/internal/steplog"
)

// events are all events of a namespace.
type events []corev1.Event

// Events implements [Events].
func (e events) Events(_ context.Context, kind, name string) []corev1.Event {
	var found []corev1.Event
	for _, event := range e {
		if event.InvolvedObject.Kind == kind && event.InvolvedObject.Name == name {
			found = append(found, event)
		}
	}
	return found
}

// logTo returns a step's log and what is written to it.
func logTo() (*steplog.Log, *strings.Builder) {
	var out strings.Builder
	return steplog.New(&out, "", false), &out
}

// jobEvent is an event about the step's Job.
func jobEvent(reason, message string) corev1.Event {
	return corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Name: "e", Namespace: "ci"}, Reason: reason, Message: message,
		InvolvedObject: corev1.ObjectReference{Kind: "Job", Namespace: "ci", Name: "kiln-1"},
	}
}

func TestWaitingSaysWhyAndThenHowLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, out := logTo()
		w := Begin(log, events{jobEvent("FailedCreate", "Error creating: pods \"kiln-1-\" is forbidden:\nexceeded quota: ci")}, Wait{Kind: "Job", Name: "kiln-1", Image: failure.ActionFailed})
		for range 25 {
			time.Sleep(Interval)
			if err := w.Look(context.Background(), nil); err != nil {
				t.Fatal(err)
			}
		}
		const why = `the cluster refuses the pod: Error creating: pods "kiln-1-" is forbidden: exceeded quota: ci; ` +
			"raise the ResourceQuota of namespace ci or wait until other pods have ended"
		want := "kiln: waiting: " + why + "\n" +
			"kiln: still waiting for the pod kiln-1, 33s: " + why + "\n" +
			"kiln: still waiting for the pod kiln-1, 1m3s: " + why + "\n"
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
	})
}

func TestWaitingEndsWhereNothingWillCome(t *testing.T) {
	log, out := logTo()
	w := Begin(log, events{jobEvent("FailedCreate", `pods "kiln-1-" is forbidden: violates PodSecurity "restricted:latest"`)}, Wait{Kind: "Job", Name: "kiln-1", Image: failure.ActionFailed})
	err := w.Look(context.Background(), nil)
	if err == nil || !strings.Contains(err.Error(), `violates PodSecurity "restricted:latest"`) || out.Len() > 0 {
		t.Errorf("error %v, log %q", err, out)
	}
}

func TestLost(t *testing.T) {
	for err, want := range map[error]string{
		fmt.Errorf("watch: %w", podrun.ErrGone): "the build pod was deleted while it ran: its node may be gone, or somebody removed it",
		errors.New("forbidden"):                 "watch the build pod: forbidden",
	} {
		if got := Lost("build pod", err).Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestAPodWithoutItsUserNamespace: only a pod that is to have one waits for it in vain.
func TestAPodWithoutItsUserNamespace(t *testing.T) {
	refused := corev1.Event{
		Reason: "FailedCreatePodSandBox", Message: "runtime does not support user namespaces",
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", Name: "kiln-1"},
	}
	log, _ := logTo()
	if err := Begin(log, events{refused}, Wait{Kind: "Pod", Name: "kiln-1"}).Look(t.Context(), nil); errors.Is(err, ErrNoUsers) {
		t.Errorf("a pod without one: %v", err)
	}
	err := Begin(log, events{refused}, Wait{Kind: "Pod", Name: "kiln-1", OwnUsers: true}).Look(t.Context(), nil)
	if !errors.Is(err, ErrNoUsers) || failure.Of(err) != failure.NotStarted || !strings.Contains(err.Error(), "KILN_BUILD_USERNS=off") {
		t.Errorf("the error is %v", err)
	}
}

// TestLate names what a pod waited for last.
func TestLate(t *testing.T) {
	log, _ := logTo()
	w := Begin(log, events{}, Wait{Kind: "Pod", Name: "kiln-1"})
	const want = "the build pod did not start within 1h0m0s (KILN_PENDING_TIMEOUT): the cluster gives no reason"
	if err := w.Late("the build pod", time.Hour); err.Error() != want || failure.Of(err) != failure.Unschedulable {
		t.Errorf("%v", err)
	}
}
