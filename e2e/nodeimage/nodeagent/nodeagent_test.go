package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func TestWanted(t *testing.T) {
	classes := map[string]storagev1.StorageClass{"standard": {Provisioner: provisioner}}
	tests := map[string]struct {
		change func(*corev1.PersistentVolumeClaim)
		want   bool
	}{
		"waits for this node":    {func(*corev1.PersistentVolumeClaim) {}, true},
		"on another node":        {func(c *corev1.PersistentVolumeClaim) { c.Annotations[annotationNode] = "b" }, false},
		"not scheduled yet":      {func(c *corev1.PersistentVolumeClaim) { c.Annotations = nil }, false},
		"bound already":          {func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeName = "pvc-1" }, false},
		"another class":          {func(c *corev1.PersistentVolumeClaim) { *c.Spec.StorageClassName = "fast" }, false},
		"no class":               {func(c *corev1.PersistentVolumeClaim) { c.Spec.StorageClassName = nil }, false},
		"is being deleted":       {func(c *corev1.PersistentVolumeClaim) { c.DeletionTimestamp = &metav1.Time{} }, false},
		"only labels are others": {func(c *corev1.PersistentVolumeClaim) { c.Labels = map[string]string{"a": "b"} }, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			claim := testClaim()
			tt.change(&claim)
			if _, got := (storage{node: "a"}).wanted(claim, classes); got != tt.want {
				t.Errorf("wanted = %t, want %t", got, tt.want)
			}
		})
	}
}

func TestVolumeBelongsToItsClaimAndNode(t *testing.T) {
	volume := storage{node: "a"}.volume(testClaim(), storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "standard"}})
	if volume.Name != "pvc-1" || volume.Spec.HostPath.Path != "/var/local/kiln-volumes/pvc-1" {
		t.Errorf("volume %s at %s", volume.Name, volume.Spec.HostPath.Path)
	}
	if ref := volume.Spec.ClaimRef; ref.Namespace != "ns" || ref.Name != "claim" || ref.UID != "1" {
		t.Errorf("volume is for %+v, want the claim", ref)
	}
	if got := nodeOf(*volume); got != "a" {
		t.Errorf("volume is on node %q, want a", got)
	}
	if size := volume.Spec.Capacity[corev1.ResourceStorage]; size.String() != "1Gi" {
		t.Errorf("capacity is %s, want 1Gi", size.String())
	}
}

func TestReleased(t *testing.T) {
	tests := map[string]struct {
		change func(*corev1.PersistentVolume)
		want   bool
	}{
		"its claim is gone": {func(*corev1.PersistentVolume) {}, true},
		"bound":             {func(v *corev1.PersistentVolume) { v.Status.Phase = corev1.VolumeBound }, false},
		"of another":        {func(v *corev1.PersistentVolume) { v.Annotations = nil }, false},
		"to be retained": {func(v *corev1.PersistentVolume) {
			v.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimRetain
		}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := storage{node: "a"}
			volume := s.volume(testClaim(), storagev1.StorageClass{})
			volume.Status.Phase = corev1.VolumeReleased
			tt.change(volume)
			if got := s.released(*volume); got != tt.want {
				t.Errorf("released = %t, want %t", got, tt.want)
			}
			if (storage{node: "b"}).released(*volume) {
				t.Error("another node would remove it")
			}
		})
	}
}

func TestConfigureWritesTheNetworkOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "10-kiln.conflist")
	for _, subnet := range []string{"10.244.0.0/24", "10.244.9.0/24"} {
		if err := configure(path, subnet); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Plugins []struct {
			Type string
			IPAM struct{ Ranges [][]struct{ Subnet string } }
		}
	}
	if err := json.Unmarshal(raw, &config); err != nil {
		t.Fatal(err)
	}
	if bridge := config.Plugins[0]; bridge.Type != "bridge" || bridge.IPAM.Ranges[0][0].Subnet != "10.244.0.0/24" {
		t.Errorf("the first plugin is %+v, want a bridge with the first subnet", bridge)
	}
}

func TestReconcileIgnoresNodesWithoutASubnet(t *testing.T) {
	client := fake.NewSimpleClientset(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "new"}})
	if err := (network{client: client, node: "a"}).reconcile(context.Background()); err != nil {
		t.Errorf("reconcile: %v", err)
	}
}

func testClaim() corev1.PersistentVolumeClaim {
	class := "standard"
	return corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: "claim", UID: "1", Annotations: map[string]string{annotationNode: "a"},
		},
		Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: &class,
			Resources: corev1.VolumeResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
			},
		},
	}
}
