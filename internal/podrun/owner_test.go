package podrun

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	kubetesting "k8s.io/client-go/testing"

	"kiln/internal/kube/kubetest"
)

// ownedPod is the pod "p" with UID 1 and those owners.
func ownedPod(owners ...types.UID) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "ns", UID: "1", ResourceVersion: "7"}}
	for _, uid := range owners {
		pod.OwnerReferences = append(pod.OwnerReferences, metav1.OwnerReference{APIVersion: "v1", Kind: "Pod", Name: "runner-" + string(uid), UID: uid})
	}
	return pod
}

// ownersOf lists the owners of the pod "p", nil where it does not exist.
func ownersOf(t *testing.T, kube *kubetest.Client) []types.UID {
	t.Helper()
	pod, err := kube.Pods("ns").Get(t.Context(), "p", metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	owners := []types.UID{}
	for _, owner := range pod.OwnerReferences {
		owners = append(owners, owner.UID)
	}
	slices.Sort(owners) // a patch may put a new one first
	return owners
}

func TestAddOwner(t *testing.T) {
	owner := ownedPod("b").OwnerReferences[0]
	kube := kubetest.New(ownedPod("a"))
	client := Client{Kube: kube, Namespace: "ns"}
	for range 2 { // the second time changes nothing
		if err := client.AddOwner(t.Context(), "p", "1", owner); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]types.UID{"a", "b"}, ownersOf(t, kube)); diff != "" {
		t.Errorf("owners (-want +got):\n%s", diff)
	}
	if err := client.AddOwner(t.Context(), "other", "1", owner); !errors.Is(err, ErrGone) {
		t.Errorf("missing pod: %v, want %v", err, ErrGone)
	}
	kube.PrependReactor("patch", "pods", func(kubetesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewConflict(podsResource, "p", errors.New("the UID differs"))
	})
	if err := client.AddOwner(t.Context(), "p", "2", owner); !errors.Is(err, ErrGone) {
		t.Errorf("replaced pod: %v, want %v", err, ErrGone)
	}
}

func TestRelease(t *testing.T) {
	for name, tt := range map[string]struct {
		pod  *corev1.Pod
		want []types.UID // nil for a deleted pod
	}{
		"the last owner":     {ownedPod("me"), nil},
		"one of two owners":  {ownedPod("other", "me"), []types.UID{"other"}},
		"not an owner":       {ownedPod("other"), []types.UID{"other"}},
		"nobody is an owner": {ownedPod(), nil},
	} {
		t.Run(name, func(t *testing.T) {
			kube := kubetest.New(tt.pod)
			client := Client{Kube: kube, Namespace: "ns"}
			if err := client.Release(briefly(t), "p", "1", "me"); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, ownersOf(t, kube)); diff != "" {
				t.Errorf("owners (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("another pod has the name", func(t *testing.T) {
		kube := kubetest.New(ownedPod("me"))
		if err := (Client{Kube: kube, Namespace: "ns"}).Release(briefly(t), "p", "2", "me"); err != nil || ownersOf(t, kube) == nil {
			t.Errorf("error = %v, owners %v; want the pod left alone", err, ownersOf(t, kube))
		}
	})
	t.Run("gone", func(t *testing.T) {
		if err := (Client{Kube: kubetest.New(), Namespace: "ns"}).Release(briefly(t), "p", "1", "me"); err != nil {
			t.Error(err)
		}
	})
}

// TestReleaseLosesARace lets another runner become an owner between the look
// and the deletion.
func TestReleaseLosesARace(t *testing.T) {
	kube := kubetest.New(ownedPod("me"))
	client := Client{Kube: kube, Namespace: "ns"}
	raced := false
	kube.PrependReactor("delete", "pods", func(action kubetesting.Action) (bool, runtime.Object, error) {
		options := action.(kubetesting.DeleteActionImpl).DeleteOptions
		if options.Preconditions == nil || options.Preconditions.ResourceVersion == nil || *options.Preconditions.UID != "1" {
			t.Errorf("deleted with the preconditions %+v", options.Preconditions)
		}
		if raced {
			return false, nil, nil
		}
		raced = true
		// The client cannot be used in here: it holds its lock.
		if err := kube.Tracker().Update(corev1.SchemeGroupVersion.WithResource("pods"), ownedPod("me", "other"), "ns"); err != nil {
			t.Error(err)
		}
		return true, nil, apierrors.NewConflict(podsResource, "p", errors.New("the resource version differs"))
	})
	if err := client.Release(briefly(t), "p", "1", "me"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]types.UID{"other"}, ownersOf(t, kube)); !raced || diff != "" {
		t.Errorf("raced: %v, owners (-want +got):\n%s", raced, diff)
	}
}

// TestReleaseIsRepeated meets an API server that fails once.
func TestReleaseIsRepeated(t *testing.T) {
	kube := kubetest.New(ownedPod("me"))
	failed := false
	kube.PrependReactor("get", "pods", func(kubetesting.Action) (bool, runtime.Object, error) {
		if failed {
			return false, nil, nil
		}
		failed = true
		return true, nil, apierrors.NewInternalError(http.ErrAbortHandler)
	})
	if err := (Client{Kube: kube, Namespace: "ns"}).Release(t.Context(), "p", "1", "me"); err != nil || ownersOf(t, kube) != nil {
		t.Errorf("error = %v, owners %v; want the pod deleted", err, ownersOf(t, kube))
	}
}

// TestOwnersLeaveAtOnce lets two owners see one another and leave at the same
// time: the one whose entry goes last deletes the pod.
func TestOwnersLeaveAtOnce(t *testing.T) {
	kube := kubetest.New(ownedPod("me", "other"))
	looked := false
	kube.PrependReactor("patch", "pods", func(kubetesting.Action) (bool, runtime.Object, error) {
		if !looked { // the other one leaves after this one has looked
			looked = true
			if err := kube.Tracker().Update(corev1.SchemeGroupVersion.WithResource("pods"), ownedPod("me"), "ns"); err != nil {
				t.Error(err)
			}
		}
		return false, nil, nil
	})
	if err := (Client{Kube: kube, Namespace: "ns"}).Release(briefly(t), "p", "1", "me"); err != nil {
		t.Fatal(err)
	}
	if owners := ownersOf(t, kube); !looked || owners != nil {
		t.Errorf("patched: %v, owners %v; want the pod deleted", looked, owners)
	}
}

// TestReleaseOutlastsConflicts meets a pod that changes faster than it can be
// looked at, for longer than one try takes.
func TestReleaseOutlastsConflicts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kube := kubetest.New(ownedPod("me"))
		calm := time.Now().Add(2 * tryTimeout)
		kube.PrependReactor("delete", "pods", func(kubetesting.Action) (bool, runtime.Object, error) {
			if time.Now().After(calm) {
				return false, nil, nil
			}
			time.Sleep(100 * time.Millisecond)
			return true, nil, apierrors.NewConflict(podsResource, "p", errors.New("the resource version differs"))
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := (Client{Kube: kube, Namespace: "ns"}).Release(ctx, "p", "1", "me"); err != nil || ownersOf(t, kube) != nil {
			t.Errorf("error = %v, owners %v; want the pod deleted", err, ownersOf(t, kube))
		}
	})
}
