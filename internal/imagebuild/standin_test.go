package imagebuild

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kubetesting "k8s.io/client-go/testing"

	"kiln/internal/failure"
	"kiln/internal/kube/kubetest"
	"kiln/internal/label"
	"kiln/internal/runnerpod"
)

// TestABuildOwnsItsPodsByAJob: the Job is there from the first pod on, runs
// nothing, ends by itself, and goes with the build.
func TestABuildOwnsItsPodsByAJob(t *testing.T) {
	for name, tt := range map[string]struct {
		self   runnerpod.Self
		owners []metav1.OwnerReference
	}{
		"from outside":      {runnerpod.Self{Name: "a shell on laptop", Image: "kiln:1"}, nil},
		"in a runner's pod": {runnerpod.Self{Name: "runner-1", UID: "u1", Image: "kiln:1"}, []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: "runner-1", UID: "u1"}}},
	} {
		t.Run(name, func(t *testing.T) {
			kube := kubetest.New()
			kube.PrependReactor("create", "jobs", func(action kubetesting.Action) (bool, runtime.Object, error) {
				job := action.(kubetesting.CreateAction).GetObject().(*batchv1.Job)
				job.UID = "j1"
				return false, nil, nil
			})
			o, _ := anOrder(kube)
			o.who.Runner = tt.self
			for range 2 { // an image may be built more than once
				if err := o.ensureOwner(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			want := metav1.OwnerReference{APIVersion: "batch/v1", Kind: "Job", Name: "kiln-abcdefghijklmnop", UID: "j1"}
			if diff := cmp.Diff(want, o.owner); diff != "" {
				t.Errorf("owner (-want +got):\n%s", diff)
			}
			jobs, err := kube.Jobs("ci").List(t.Context(), metav1.ListOptions{})
			if err != nil || len(jobs.Items) != 1 {
				t.Fatalf("%d Jobs, %v", len(jobs.Items), err)
			}
			job := jobs.Items[0]
			// Twelve turns of three minutes.
			if *job.Spec.Parallelism != 0 || *job.Spec.ActiveDeadlineSeconds != 12*180 || *job.Spec.TTLSecondsAfterFinished != 0 {
				t.Errorf("spec %+v", job.Spec)
			}
			if diff := cmp.Diff(tt.owners, job.OwnerReferences); diff != "" {
				t.Errorf("owners of the Job (-want +got):\n%s", diff)
			}
			if job.Labels[label.Role] == label.RoleBuild {
				t.Errorf("labels %v", job.Labels)
			}
			o.disown()
			if jobs, err := kube.Jobs("ci").List(t.Context(), metav1.ListOptions{}); err != nil || len(jobs.Items) > 0 {
				t.Errorf("left %d Jobs, %v", len(jobs.Items), err)
			}
		})
	}
}

// TestNoRightToCreateTheJob: the error says which right, and nothing is deleted.
func TestNoRightToCreateTheJob(t *testing.T) {
	kube := kubetest.New()
	kube.PrependReactor("create", "jobs", func(kubetesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Group: "batch", Resource: "jobs"}, "j", nil)
	})
	o, _ := anOrder(kube)
	err := o.ensureOwner(t.Context())
	if failure.Of(err) != failure.AdmissionRefused || !strings.Contains(err.Error(), "create the Job that the build pod belongs to") {
		t.Errorf("error %v", err)
	}
	o.disown()
	for _, action := range kube.Actions() {
		if action.GetVerb() == "delete" {
			t.Errorf("deleted %v", action)
		}
	}
}
