package actionrun

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	kubetesting "k8s.io/client-go/testing"

	"kiln/internal/kube/kubetest"
	"kiln/internal/label"
	"kiln/internal/podrun"
	"kiln/internal/runnerpod"
	"kiln/internal/spool"
	"kiln/internal/steplog"
)

// hostileID is a request id whose old name, kiln- and the id, somebody else has.
const hostileID = "controllersecret1"

// anAction is the action of a step with that id, over kube.
func anAction(t *testing.T, id string, kube *kubetest.Client) *Action {
	t.Helper()
	state, err := spool.OpenState(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := state.Accept(id); err != nil {
		t.Fatal(err)
	}
	runner, err := New(Options{
		Pods: podrun.Client{Kube: kube, Namespace: "ci"}, State: state, Namespace: "ci", PendingTimeout: time.Minute, Logger: zap.NewNop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	return runner.Action(Step{
		ID: id, Runner: runnerpod.Self{Name: "runner-1", UID: "u1", Claim: "work", WorkMount: "/w"},
		Log: steplog.New(&log, "", false), Times: steplog.NewTimes(nil), Logger: zap.NewNop(),
	})
}

// left lists the Jobs and Secrets of the cluster.
func left(t *testing.T, kube *kubetest.Client) []string {
	t.Helper()
	var names []string
	jobs, err := kube.Jobs("ci").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, job := range jobs.Items {
		names = append(names, "job "+job.Name)
	}
	secrets, err := kube.Secrets("ci").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range secrets.Items {
		names = append(names, "secret "+secret.Name)
	}
	slices.Sort(names)
	return names
}

// strangers are a Job and a Secret that have the name which a hostile id makes.
func strangers() []runtime.Object {
	meta := metav1.ObjectMeta{Namespace: "ci", Name: "kiln-" + hostileID}
	return []runtime.Object{&batchv1.Job{ObjectMeta: meta}, &corev1.Secret{ObjectMeta: meta}}
}

// TestActionsHaveNamesOfTheirOwn: what a step makes has a name that follows from
// nothing, and is in the state before it is asked for. Whatever becomes of the
// creation, nothing of it stays, and nothing of others goes.
func TestActionsHaveNamesOfTheirOwn(t *testing.T) {
	refused := errors.New("no answer")
	for name, tt := range map[string]struct {
		resource string // whose creation has no answer
		made     bool   // but takes place
	}{
		"Secret lost":            {"secrets", false},
		"Secret made in silence": {"secrets", true},
		"Job lost":               {"jobs", false},
		"Job made in silence":    {"jobs", true},
	} {
		t.Run(name, func(t *testing.T) {
			kube := kubetest.New(strangers()...)
			a := anAction(t, hostileID, kube)
			var names []string
			kube.PrependReactor("create", "*", func(action kubetesting.Action) (bool, runtime.Object, error) {
				object := action.(kubetesting.CreateAction).GetObject()
				meta := object.(metav1.Object)
				names = append(names, meta.GetName())
				noted, err := a.runner.options.State.Noted(a.step.ID)
				if err != nil || len(noted) != 1 || noted[0].Name != meta.GetName() {
					t.Errorf("the state has %+v, %v when %s is made", noted, err, meta.GetName())
				}
				if action.GetResource().Resource != tt.resource {
					return false, nil, nil
				}
				if tt.made {
					meta.SetUID("made")
					if err := kube.Tracker().Add(object); err != nil {
						t.Error(err)
					}
				}
				return true, nil, refused
			})
			if _, err := a.Run(t.Context(), Image{Reference: "busybox"}); !errors.Is(err, refused) {
				t.Fatalf("error = %v", err)
			}
			for _, made := range names {
				if len(made) < len("kiln-")+26 || strings.Contains(made, a.step.ID) {
					t.Errorf("the name %s follows from the request %s, or is too short", made, a.step.ID)
				}
			}
			want := []string{"job kiln-" + hostileID, "secret kiln-" + hostileID}
			if diff := cmp.Diff(want, left(t, kube)); diff != "" {
				t.Errorf("left in the cluster (-want +got):\n%s", diff)
			}
		})
	}
}

// TestNothingIsMadeThatIsNotNoted: without a state there is no step.
func TestNothingIsMadeThatIsNotNoted(t *testing.T) {
	kube := kubetest.New()
	a := anAction(t, hostileID, kube)
	if err := a.runner.options.State.(*spool.State).Forget(a.step.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Run(t.Context(), Image{Reference: "busybox"}); err == nil || !strings.Contains(err.Error(), "remember objects") {
		t.Errorf("error = %v", err)
	}
	if got := left(t, kube); len(got) > 0 {
		t.Errorf("made %v", got)
	}
}

// TestDiscard deletes after a restart what the state names, if it is this
// request'a and this runner'a, and what the state does not name never.
func TestDiscard(t *testing.T) {
	meta := func(name, request, role string) metav1.ObjectMeta {
		return metav1.ObjectMeta{
			Namespace: "ci", Name: name, UID: types.UID(name), Labels: map[string]string{label.Request: request, label.Role: role},
			OwnerReferences: []metav1.OwnerReference{{UID: "u0"}, {UID: "u1"}},
		}
	}
	stolen := meta("kiln-theirs", hostileID, label.RoleAction)
	stolen.OwnerReferences = stolen.OwnerReferences[:1]
	kube := kubetest.New(append(strangers(),
		&batchv1.Job{ObjectMeta: meta("kiln-a", hostileID, label.RoleAction)}, &corev1.Secret{ObjectMeta: meta("kiln-a", hostileID, label.RoleAction)},
		&batchv1.Job{ObjectMeta: meta("kiln-b", hostileID, label.RoleAction)}, // and no Secret
		&batchv1.Job{ObjectMeta: meta("kiln-other-request", "abcdefghijklmnop", label.RoleAction)},
		&batchv1.Job{ObjectMeta: meta("kiln-other-role", hostileID, label.RoleOwner)},
		&batchv1.Job{ObjectMeta: stolen},
	)...)
	a := anAction(t, hostileID, kube)
	want := []string{"job kiln-" + hostileID, "job kiln-other-request", "job kiln-other-role", "job kiln-theirs", "secret kiln-" + hostileID}
	for _, noted := range []string{"kiln-a", "kiln-b", "kiln-never-made", "kiln-other-request", "kiln-other-role", "kiln-theirs"} {
		if err := a.note(spool.Made{Name: noted}); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // the second time there is nothing left to delete
		if err := a.runner.Discard(t.Context(), hostileID, "u1"); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, left(t, kube)); diff != "" {
			t.Errorf("left in the cluster (-want +got):\n%s", diff)
		}
	}
}

// TestDiscardWithoutNotes: a request that made nothing, and one whose notes
// cannot be read, which has to be looked at again.
func TestDiscardWithoutNotes(t *testing.T) {
	kube := kubetest.New(strangers()...)
	a := anAction(t, hostileID, kube)
	if err := a.runner.Discard(t.Context(), hostileID, "u1"); err != nil {
		t.Error(err)
	}
	if err := a.note(spool.Made{Name: "kiln-a"}); err != nil {
		t.Fatal(err)
	}
	made := strings.TrimSuffix(a.runner.options.State.(*spool.State).ContextPath(a.step.ID), "context.tar.gz") + "objects.json"
	if err := os.WriteFile(made, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := a.runner.Discard(t.Context(), hostileID, "u1"); err == nil {
		t.Errorf("notes that cannot be read are no error")
	}
	if got := left(t, kube); len(got) != 2 {
		t.Errorf("left %v", got)
	}
}

// TestACreateWithoutAnswerIsCleanedUp: the object may be there all the same.
func TestACreateWithoutAnswerIsCleanedUp(t *testing.T) {
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "jobs"}, "kiln-1", nil)
	for name, tt := range map[string]struct {
		resource string
		answer   error
		want     []string
	}{
		"Secret lost":    {"secrets", io.ErrUnexpectedEOF, []string{"create secrets", "delete secrets"}},
		"Secret refused": {"secrets", forbidden, []string{"create secrets"}},
		"Job lost":       {"jobs", io.ErrUnexpectedEOF, []string{"create secrets", "create jobs", "get jobs", "list pods", "delete secrets"}},
		"Job refused":    {"jobs", forbidden, []string{"create secrets", "create jobs", "delete secrets"}},
	} {
		t.Run(name, func(t *testing.T) {
			kube := kubetest.New()
			kube.PrependReactor("create", tt.resource, func(kubetesting.Action) (bool, runtime.Object, error) {
				return true, nil, tt.answer
			})
			a := anAction(t, hostileID, kube)
			meta := metav1.ObjectMeta{Name: "kiln-1", Namespace: "ci"}
			if code, err := a.runJob(context.Background(), &corev1.Secret{ObjectMeta: meta}, &batchv1.Job{ObjectMeta: meta}, false); code != 1 || err == nil {
				t.Errorf("exit code %d, error %v", code, err)
			}
			var did []string
			for _, action := range kube.Actions() {
				did = append(did, action.GetVerb()+" "+action.GetResource().Resource)
			}
			if diff := cmp.Diff(tt.want, did); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
}

// TestOptionsAreWhole: each that is missing is named, all at once.
func TestOptionsAreWhole(t *testing.T) {
	_, err := New(Options{StepTimeout: -1})
	for _, want := range []string{"no cluster", "nothing to remember", "no log", "no namespace", "no time for an action", "a negative time"} {
		if err == nil || !strings.Contains(err.Error(), "run actions: "+want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
