package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
)

const (
	// provisioner is the name that the StorageClass refers to.
	provisioner = "kiln.build/node-directory"
	// volumeRoot is where a node keeps the directories, on the node's own
	// disk: it goes with the node.
	volumeRoot = "/var/local/kiln-volumes"
	// annotationNode is set by the scheduler on a claim that waits for its
	// first consumer, annotationMadeBy by a provisioner on its volumes
	// (https://kubernetes.io/docs/reference/labels-annotations-taints/).
	annotationNode   = "volume.kubernetes.io/selected-node"
	annotationMadeBy = "pv.kubernetes.io/provisioned-by"
)

// storage serves the claims that the scheduler has put on this node: each
// becomes a directory that anyone may write to. Volumes whose claim is gone
// are removed with all that is in them.
type storage struct {
	client kubernetes.Interface
	node   string
}

func (s storage) run(ctx context.Context) error {
	return settle(ctx, s.watch, s.reconcile)
}

func (s storage) watch(ctx context.Context) ([]watch.Interface, error) {
	claims, err := s.client.CoreV1().PersistentVolumeClaims("").Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("watch claims: %w", err)
	}
	volumes, err := s.client.CoreV1().PersistentVolumes().Watch(ctx, metav1.ListOptions{})
	if err != nil {
		claims.Stop()
		return nil, fmt.Errorf("watch volumes: %w", err)
	}
	return []watch.Interface{claims, volumes}, nil
}

func (s storage) reconcile(ctx context.Context) error {
	classes, err := s.classes(ctx)
	if err != nil {
		return err
	}
	claims, err := s.client.CoreV1().PersistentVolumeClaims("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list claims: %w", err)
	}
	var errs []error
	for _, claim := range claims.Items {
		if class, ok := s.wanted(claim, classes); ok {
			errs = append(errs, s.provide(ctx, claim, class))
		}
	}
	volumes, err := s.client.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list volumes: %w", err)
	}
	for _, volume := range volumes.Items {
		if s.released(volume) {
			errs = append(errs, s.remove(ctx, volume))
		}
	}
	return errors.Join(errs...)
}

func (s storage) classes(ctx context.Context) (map[string]storagev1.StorageClass, error) {
	list, err := s.client.StorageV1().StorageClasses().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list storage classes: %w", err)
	}
	classes := map[string]storagev1.StorageClass{}
	for _, class := range list.Items {
		if class.Provisioner == provisioner {
			classes[class.Name] = class
		}
	}
	return classes, nil
}

// wanted says whether the claim waits for a volume from this node.
func (s storage) wanted(claim corev1.PersistentVolumeClaim, classes map[string]storagev1.StorageClass) (storagev1.StorageClass, bool) {
	if claim.DeletionTimestamp != nil || claim.Spec.VolumeName != "" || claim.Spec.StorageClassName == nil {
		return storagev1.StorageClass{}, false
	}
	class, ok := classes[*claim.Spec.StorageClassName]
	return class, ok && claim.Annotations[annotationNode] == s.node
}

// provide makes the directory and the volume. Both have names that follow from
// the claim, so a second call changes nothing.
func (s storage) provide(ctx context.Context, claim corev1.PersistentVolumeClaim, class storagev1.StorageClass) error {
	volume := s.volume(claim, class)
	if err := makeDirectory(volume.Spec.HostPath.Path); err != nil {
		return err
	}
	_, err := s.client.CoreV1().PersistentVolumes().Create(ctx, volume, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create volume for claim %s/%s: %w", claim.Namespace, claim.Name, err)
	}
	return nil
}

// volume is the volume of a claim: a directory of this node, bound to the
// claim before anyone else can take it.
func (s storage) volume(claim corev1.PersistentVolumeClaim, class storagev1.StorageClass) *corev1.PersistentVolume {
	name := "pvc-" + string(claim.UID)
	policy := corev1.PersistentVolumeReclaimDelete
	if class.ReclaimPolicy != nil {
		policy = *class.ReclaimPolicy
	}
	directory := corev1.HostPathDirectoryOrCreate
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{annotationMadeBy: provisioner}},
		Spec: corev1.PersistentVolumeSpec{
			AccessModes:                   claim.Spec.AccessModes,
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: claim.Spec.Resources.Requests[corev1.ResourceStorage]},
			PersistentVolumeReclaimPolicy: policy,
			StorageClassName:              class.Name,
			VolumeMode:                    claim.Spec.VolumeMode,
			ClaimRef: &corev1.ObjectReference{
				APIVersion: "v1", Kind: "PersistentVolumeClaim",
				Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID,
			},
			PersistentVolumeSource: corev1.PersistentVolumeSource{
				HostPath: &corev1.HostPathVolumeSource{Path: filepath.Join(volumeRoot, name), Type: &directory},
			},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{
				NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{{
					Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{s.node},
				}}}},
			}},
		},
	}
}

// released says whether the volume is one of this node's and its claim is
// gone for good.
func (s storage) released(volume corev1.PersistentVolume) bool {
	return volume.Annotations[annotationMadeBy] == provisioner &&
		volume.Status.Phase == corev1.VolumeReleased &&
		volume.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete &&
		volume.Spec.HostPath != nil && nodeOf(volume) == s.node
}

func nodeOf(volume corev1.PersistentVolume) string {
	if volume.Spec.NodeAffinity == nil || volume.Spec.NodeAffinity.Required == nil {
		return ""
	}
	for _, term := range volume.Spec.NodeAffinity.Required.NodeSelectorTerms {
		for _, expression := range term.MatchExpressions {
			if expression.Key == corev1.LabelHostname && len(expression.Values) == 1 {
				return expression.Values[0]
			}
		}
	}
	return ""
}

// remove deletes the directory, then the volume. The path is computed again:
// what the volume object says could have been changed to any other.
func (s storage) remove(ctx context.Context, volume corev1.PersistentVolume) error {
	if err := os.RemoveAll(filepath.Join(volumeRoot, filepath.Base(volume.Name))); err != nil {
		return fmt.Errorf("remove directory of volume %s: %w", volume.Name, err)
	}
	err := s.client.CoreV1().PersistentVolumes().Delete(ctx, volume.Name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete volume %s: %w", volume.Name, err)
	}
	return nil
}

// makeDirectory makes a directory that every user may write to, whatever the
// umask.
func makeDirectory(path string) error {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return fmt.Errorf("make volume directory: %w", err)
	}
	return os.Chmod(path, 0o777) //nolint:gosec // pods of any user write here
}
