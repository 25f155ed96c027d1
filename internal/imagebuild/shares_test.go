package imagebuild

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kiln/internal/kube/kubetest"
	"kiln/internal/label"
	"kiln/internal/runnerpod"
)

// TestShares lets two steps of one runner need the same pod: the runner gives it
// up with the second.
func TestShares(t *testing.T) {
	var s shares
	mine := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "1", Labels: map[string]string{label.Request: "a"}}}
	followed := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "2", Labels: map[string]string{label.Request: "elsewhere"}}}
	s.begin("a")
	if !s.used(mine) || s.used(followed) {
		t.Error("the pod of a step counts from its beginning, another's does not")
	}
	s.take("2")
	s.take("2")
	if s.give("2") || !s.used(followed) {
		t.Error("the first step to leave was the last")
	}
	if !s.give("2") || s.used(followed) {
		t.Error("the last step to leave was not")
	}
	s.end("a")
	if s.used(mine) {
		t.Error("a step that is over needs its pod")
	}
}

// TestReleaseAfterARestart gives up what an earlier run of the daemon made
// or followed, and nothing else.
func TestReleaseAfterARestart(t *testing.T) {
	self := runnerpod.Self{Name: "runner", UID: "me"}
	other := metav1.OwnerReference{APIVersion: "v1", Kind: "Pod", Name: "other", UID: "other"}
	pod := func(name, request string, owners ...metav1.OwnerReference) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: "ci", UID: "uid-" + "1", OwnerReferences: owners,
			Labels: map[string]string{label.Role: label.RoleBuild, label.Request: request},
		}}
	}
	kube := kubetest.New(
		pod("made", "dead", self.Owner()),
		pod("followed", "elsewhere", other, self.Owner()),
		pod("foreign", "elsewhere", other),
		pod("new", "alive", self.Owner()),
	)
	o, _ := anOrder(kube)
	o.builder.shares.begin("alive")
	if err := o.builder.Release(t.Context(), types.UID(self.UID)); err != nil {
		t.Fatal(err)
	}
	var left []string
	list, err := kube.Pods("ci").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list.Items {
		var owners []string
		for _, o := range p.OwnerReferences {
			owners = append(owners, o.Name)
		}
		left = append(left, p.Name+"="+strings.Join(owners, ","))
	}
	if got, want := strings.Join(left, " "), "followed=other foreign=other new=runner"; got != want {
		t.Errorf("left %s, want %s", got, want)
	}
}
