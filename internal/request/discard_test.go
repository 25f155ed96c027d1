package request

import (
	"strings"
	"testing"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"

	"kiln/internal/podrun"
	"kiln/internal/runnerpod"
	"kiln/internal/steplog"
)

// hostileID is a request id whose old name, kiln- and the id, somebody else has.
const hostileID = "controllersecret1"

// runnerNamed reads a runner pod with that name and UID.
func runnerNamed(name string, uid types.UID) *runnerpod.Reader {
	return &runnerpod.Reader{PodName: name, Pods: podrun.Client{Namespace: "ci", Kube: fake.NewClientset(&corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: name, UID: uid},
		Spec: corev1.PodSpec{
			InitContainers: []corev1.Container{{Name: "kiln"}},
			Containers:     []corev1.Container{{Name: "runner", VolumeMounts: []corev1.VolumeMount{{Name: "work", MountPath: "/w"}}}},
			Volumes:        []corev1.Volume{{Name: "work", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}}},
		},
	})}}
}

// aStep is a step of a ready image with that id, over kube.
func aStep(t *testing.T, id string, kube *fake.Clientset) *step {
	t.Helper()
	h := shellHandler(t, kube)
	if err := h.state.Accept(id); err != nil {
		t.Fatal(err)
	}
	self := runnerpod.Self{Name: "runner-1", UID: "u1", Claim: "work", WorkMount: "/w"}
	h.runner = runnerNamed(self.Name, types.UID(self.UID))
	var log strings.Builder
	return &step{
		handler: h, id: id, self: self, owner: self.Owner(), log: steplog.New(&log, "", false), times: steplog.NewTimes(nil), logger: zap.NewNop(),
	}
}
