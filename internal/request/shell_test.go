package request

import (
	"archive/tar"
	"os"
	"path/filepath"
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
	"k8s.io/client-go/kubernetes/fake"
	kubetesting "k8s.io/client-go/testing"

	"kiln/internal/config"
	"kiln/internal/failure"
	"kiln/internal/label"
	"kiln/internal/podrun"
	"kiln/internal/runnerpod"
	"kiln/internal/spool"
)

// shellHandler is a handler over a cluster in the namespace ci.
func shellHandler(t *testing.T, kube *fake.Clientset) *Handler {
	t.Helper()
	state, err := spool.OpenState(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return &Handler{
		operator: Operator{Settings: &config.Settings{KanikoImage: config.KanikoImage, PendingTimeout: time.Minute, BuildTimeout: 2 * time.Minute, ContextMaxBytes: 1 << 20, ContextMaxEntries: 9}},
		pods:     podrun.Client{Kube: kube, Namespace: "ci"},
		state:    state,
		logger:   zap.NewNop(),
	}
}

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
			kube := fake.NewClientset()
			kube.PrependReactor("create", "jobs", func(action kubetesting.Action) (bool, runtime.Object, error) {
				job := action.(kubetesting.CreateAction).GetObject().(*batchv1.Job)
				job.UID = "j1"
				return false, nil, nil
			})
			s := shellHandler(t, kube).stepOf(Order{ID: "abcdefghijklmnop", Self: tt.self})
			for range 2 { // an image may be built more than once
				if err := s.ensureOwner(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			want := metav1.OwnerReference{APIVersion: "batch/v1", Kind: "Job", Name: "kiln-abcdefghijklmnop", UID: "j1"}
			if diff := cmp.Diff(want, s.owner); diff != "" {
				t.Errorf("owner (-want +got):\n%s", diff)
			}
			jobs, err := kube.BatchV1().Jobs("ci").List(t.Context(), metav1.ListOptions{})
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
			s.disown()
			if jobs, err := kube.BatchV1().Jobs("ci").List(t.Context(), metav1.ListOptions{}); err != nil || len(jobs.Items) > 0 {
				t.Errorf("left %d Jobs, %v", len(jobs.Items), err)
			}
		})
	}
}

// TestRefusedPod: the reason is that of what the API server said.
func TestRefusedPod(t *testing.T) {
	pods := schema.GroupResource{Resource: "pods"}
	for _, tt := range []struct {
		err  error
		want failure.Reason
	}{
		{apierrors.NewForbidden(pods, "p", nil), failure.AdmissionRefused},
		{apierrors.NewUnauthorized("Unauthorized"), failure.TokenRefused},
		{apierrors.NewTooManyRequests("slow down", 1), failure.ClusterUnreachable},
	} {
		kube := fake.NewClientset()
		kube.PrependReactor("create", "pods", func(kubetesting.Action) (bool, runtime.Object, error) { return true, nil, tt.err })
		_, err := shellHandler(t, kube).pods.CreatePod(t.Context(), &corev1.Pod{})
		if got := createFailure(err); failure.Of(got) != tt.want || !strings.Contains(got.Error(), "create the build pod") {
			t.Errorf("%v: %s, want %s", got, failure.Of(got), tt.want)
		}
	}
}

// TestNoRightToCreateTheJob: the error says which right, and nothing is deleted.
func TestNoRightToCreateTheJob(t *testing.T) {
	kube := fake.NewClientset()
	kube.PrependReactor("create", "jobs", func(kubetesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Group: "batch", Resource: "jobs"}, "j", nil)
	})
	s := shellHandler(t, kube).stepOf(Order{ID: "abcdefghijklmnop"})
	err := s.ensureOwner(t.Context())
	if failure.Of(err) != failure.AdmissionRefused || !strings.Contains(err.Error(), "create the Job that the build pod belongs to") {
		t.Errorf("error %v", err)
	}
	s.disown()
	for _, action := range kube.Actions() {
		if action.GetVerb() == "delete" {
			t.Errorf("deleted %v", action)
		}
	}
}

// TestARefusedBuildMakesNothing: neither a Job nor a file is left by a Dockerfile
// that is refused, and nobody is asked.
func TestARefusedBuildMakesNothing(t *testing.T) {
	kube := fake.NewClientset()
	h := shellHandler(t, kube)
	var log strings.Builder
	order := Order{ID: "abcdefghijklmnop", Context: stagedFile(t, "FROM busybox\nRUNN true\n"), Log: &log, Request: spool.Request{Dockerfile: "Dockerfile", Path: "/w/app/Dockerfile", Workspace: "/w/app"}}
	_, err := h.Build(t.Context(), order)
	if failure.Of(err) != failure.DockerfileSyntax || !strings.Contains(log.String(), "\n::error file=Dockerfile,line=2::Dockerfile:2: ") {
		t.Errorf("error %v, log:\n%s", err, &log)
	}
	built := log.String()
	log.Reset()
	if err := Check(t.Context(), Options{Operator: h.operator, State: h.state, Logger: h.logger}, order); err == nil || afterToken(log.String()) != afterToken(built) {
		t.Errorf("check says otherwise, %v:\n%s", err, &log)
	}
	if ids, err := h.state.Accepted(); err != nil || len(ids) > 0 {
		t.Errorf("left in the state: %v, %v", ids, err)
	}
	if actions := kube.Actions(); len(actions) > 0 {
		t.Errorf("asked the cluster: %v", actions)
	}
}

// afterToken cuts off what has a stop token of its own in it.
func afterToken(log string) string {
	_, after, _ := strings.Cut(log, "::endgroup::")
	return after
}

// stagedFile is the staged context of a Dockerfile alone.
func stagedFile(t *testing.T, dockerfile string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "context.tar")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w := tar.NewWriter(file)
	if err := w.WriteHeader(&tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755}); err != nil {
		t.Fatal(err)
	}
	if err := w.WriteHeader(&tar.Header{Name: "Dockerfile", Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(dockerfile))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(dockerfile)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}
