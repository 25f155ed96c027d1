package podrun

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kiln/internal/kube/kubetest"
)

// markedPod is a pod with a role and an owner.
func markedPod(name, role string, owner types.UID) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: name, Namespace: "ci", UID: types.UID("uid-" + name), Labels: map[string]string{"role": role},
		OwnerReferences: []metav1.OwnerReference{{Kind: "Pod", Name: "runner", UID: owner}},
	}}
}

// TestMarked lists the caller's own alone, and deletes of a name what is its own.
func TestMarked(t *testing.T) {
	mark := Mark{Labels: map[string]string{"role": "job"}, Owner: "me"}
	kube := kubetest.New(markedPod("mine", "job", "me"), markedPod("another", "job", "other"), markedPod("action", "action", "me"))
	client := Client{Kube: kube, Namespace: "ci"}
	names := func() (names []string) {
		pods, err := client.Marked(t.Context(), mark)
		if err != nil {
			t.Fatal(err)
		}
		for i := range pods {
			names = append(names, pods[i].Name)
		}
		return names
	}
	if diff := cmp.Diff([]string{"mine"}, names()); diff != "" {
		t.Errorf("marked (-want +got):\n%s", diff)
	}
	for _, pod := range []Object{{Name: "another"}, {Name: "action"}, {Name: "nobody"}, {Name: "mine"}} {
		if err := client.DeletePod(t.Context(), pod, mark, 0); err != nil {
			t.Errorf("%s: %v", pod.Name, err)
		}
	}
	left, err := kube.Pods("ci").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(left.Items) != 2 || len(names()) != 0 {
		t.Errorf("left %v, %v", left.Items, err)
	}
}
