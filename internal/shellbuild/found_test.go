package shellbuild

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kubetesting "k8s.io/client-go/testing"

	"kiln/internal/kube/kubetest"
	"kiln/internal/podrun"
	"kiln/internal/runnerpod"
)

// runnerPod is a runner pod with kiln in it, that many minutes old.
func runnerPod(name string, age int, env ...corev1.EnvVar) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "ci", CreationTimestamp: metav1.NewTime(time.Now().Add(-time.Duration(age) * time.Minute))},
		Spec: corev1.PodSpec{
			ImagePullSecrets: []corev1.LocalObjectReference{{Name: "pull"}},
			Tolerations:      []corev1.Toleration{{Key: "ci"}},
			InitContainers:   []corev1.Container{{Name: "kiln", Image: name + ":1", ImagePullPolicy: corev1.PullAlways, Args: []string{"run"}, Env: env}},
		},
	}
}

func configMapOf(name string, data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "ci"}, Data: data}
}

func TestLook(t *testing.T) {
	settings := configMapOf("kiln", map[string]string{"KILN_TAG": "random", "KILN_BUILD_MEMORY": "1Gi", "KILN_CA_FILE": "/etc/x"})
	going := runnerPod("going", 0)
	going.DeletionTimestamp, going.Finalizers = new(metav1.Now()), []string{"x/y"}
	installer := runnerPod("installer", 0)
	installer.Spec.InitContainers[0].Args = []string{"install"}
	young := runnerPod("young", 1, corev1.EnvVar{Name: "KILN_TAG", Value: "content"}, corev1.EnvVar{Name: "KILN_POD_NAME", ValueFrom: &corev1.EnvVarSource{}}, corev1.EnvVar{Name: "KILN_NAMESPACE", Value: "ci"})
	self := runnerpod.Self{Image: "young:1", PullPolicy: corev1.PullAlways, PullSecrets: []corev1.LocalObjectReference{{Name: "pull"}}, Tolerations: []corev1.Toleration{{Key: "ci"}}}
	for name, tt := range map[string]struct {
		objects []runtime.Object
		denied  []string
		values  map[string]string
		self    runnerpod.Self
		said    string
	}{
		"nothing":        {nil, nil, map[string]string{}, runnerpod.Self{}, ""},
		"the ConfigMap":  {[]runtime.Object{settings}, nil, map[string]string{"KILN_TAG": "random", "KILN_BUILD_MEMORY": "1Gi"}, runnerpod.Self{}, ", with settings of the ConfigMap kiln"},
		"the newest pod": {[]runtime.Object{runnerPod("old", 9), young, going, installer}, nil, map[string]string{"KILN_TAG": "content"}, self, ", with settings of the runner pod young"},
		"both":           {[]runtime.Object{settings, young}, nil, map[string]string{"KILN_TAG": "content", "KILN_BUILD_MEMORY": "1Gi"}, self, ", with settings of the ConfigMap kiln and the runner pod young"},
		"no rights":      {[]runtime.Object{settings, young}, []string{"configmaps", "pods"}, map[string]string{}, runnerpod.Self{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			kube := kubetest.New(tt.objects...)
			for _, resource := range tt.denied {
				kube.PrependReactor("*", resource, func(kubetesting.Action) (bool, runtime.Object, error) {
					return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "kiln", nil)
				})
			}
			f, err := look(t.Context(), podrun.Client{Kube: kube, Namespace: "ci"})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.values, f.settings()); diff != "" {
				t.Errorf("settings (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.self, f.self); diff != "" {
				t.Errorf("self (-want +got):\n%s", diff)
			}
			if f.said() != tt.said {
				t.Errorf("said %q, want %q", f.said(), tt.said)
			}
		})
	}
}

// TestBuildTemplate: the file of the runners is one of a ConfigMap, and no path of
// a kiln container means anything here.
func TestBuildTemplate(t *testing.T) {
	const path = "/etc/kiln/build-template.yaml"
	kube := kubetest.New(configMapOf("kiln-files", map[string]string{"build-template.yaml": "spec: {}\n"}))
	f := &found{values: map[string]string{envTemplate: path}}
	if err := f.keepTemplate(t.Context(), podrun.Client{Kube: kube, Namespace: "ci"}, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(f.values[envTemplate]); err != nil || string(text) != "spec: {}\n" {
		t.Errorf("template %q, %v", text, err)
	}
	f = &found{values: map[string]string{envTemplate: path}}
	err := f.keepTemplate(t.Context(), podrun.Client{Kube: kubetest.New(), Namespace: "ci"}, t.TempDir())
	if _, ok := errors.AsType[*UsageError](err); !ok {
		t.Errorf("error %v, want one that tells of --build-template", err)
	}
}
