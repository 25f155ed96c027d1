package runnerpod

import (
	"context"
	"fmt"
	"path"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kiln/internal/failure"
)

// Names that a runner pod has by convention: the runner container's is fixed
// by Actions Runner Controller, the volume's by its chart, and the sidecar's
// by kiln.
const (
	containerKiln   = "kiln"
	containerRunner = "runner"
	volumeWork      = "work"
	workFolder      = "_work" // the last element of the path that it is mounted at
)

// Self is what the daemon needs to know of the pod that it runs in.
type Self struct {
	// Name and UID are the runner pod's.
	Name string
	UID  string
	// NodeName is the node that the work volume is attached to.
	NodeName string
	// Image and PullPolicy are the sidecar's own, used for the gate.
	Image      string
	PullPolicy corev1.PullPolicy
	// PullSecrets and Tolerations are inherited by every pod that kiln makes.
	PullSecrets []corev1.LocalObjectReference
	Tolerations []corev1.Toleration
	// ServiceAccount is the pod's own.
	ServiceAccount string
	// Claim is the persistent volume claim of the work volume, and WorkMount
	// the runner container's path to it.
	Claim     string
	WorkMount string
	// SELinux is the runner container's label and SELinuxChange how the pod's
	// volumes get it, or nil. The pods of actions share a volume with it.
	SELinux       *corev1.SELinuxOptions
	SELinuxChange *corev1.PodSELinuxChangePolicy
}

// Owner is the owner reference that ties an object to the runner pod, so that
// it goes when the pod goes.
func (s Self) Owner() metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: "v1", Kind: "Pod", Name: s.Name, UID: types.UID(s.UID)}
}

// Pods reads a pod by its name.
type Pods interface {
	Pod(ctx context.Context, name string) (*corev1.Pod, error)
}

// Reader reads the daemon's own pod once and remembers it. It is safe for
// concurrent use.
type Reader struct {
	// Pods reaches the cluster, and PodName is the pod's name.
	Pods    Pods
	PodName string

	mu   sync.Mutex
	self *Self
}

// Read returns the pod's facts. A failure is not remembered: the next step
// tries again.
func (r *Reader) Read(ctx context.Context) (Self, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.self != nil {
		return *r.self, nil
	}
	pod, err := r.Pods.Pod(ctx, r.PodName)
	if err != nil {
		return Self{}, fmt.Errorf("read the runner pod: %w", err)
	}
	self, err := Of(pod)
	if err != nil {
		return Self{}, failure.New(failure.Misconfigured, "kiln: %w", err)
	}
	r.self = &self
	return self, nil
}

// Of takes the facts out of a runner pod. With an error about the work volume
// the other facts are there.
func Of(pod *corev1.Pod) (Self, error) {
	kiln, ok := Sidecar(pod)
	self := Inherited(pod, kiln)
	self.Name, self.UID, self.NodeName = pod.Name, string(pod.UID), pod.Spec.NodeName
	self.SELinux, self.SELinuxChange = selinux(pod)
	if sign := Novolume(pod); sign != "" {
		return self, fmt.Errorf("the runner pod %s is set up for containerMode kubernetes-novolume (%s), which kiln does not support: there the work folder is no volume that the pod of an action could mount; set the scale set up as one of the overlays of kilnd render-values does, in mode sealed or kubernetes", pod.Name, sign)
	}
	if !ok {
		return self, fmt.Errorf("the runner pod %s has no container %q: name kiln's sidecar so", pod.Name, containerKiln)
	}
	var err error
	self.Claim, self.WorkMount, err = workVolume(pod)
	return self, err
}

// Sidecar returns the container of a runner pod that kilnd runs in.
func Sidecar(pod *corev1.Pod) (corev1.Container, bool) { return findContainer(pod, containerKiln) }

// Inherited is what every build has of a runner pod whose sidecar is kiln,
// whoever it is for.
func Inherited(pod *corev1.Pod, kiln corev1.Container) Self {
	return Self{
		Image: kiln.Image, PullPolicy: kiln.ImagePullPolicy,
		PullSecrets:    pod.Spec.ImagePullSecrets,
		Tolerations:    pod.Spec.Tolerations,
		ServiceAccount: pod.Spec.ServiceAccountName,
	}
}

// findContainer returns the container or init container called name.
func findContainer(pod *corev1.Pod, name string) (corev1.Container, bool) {
	for _, list := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for _, container := range list {
			if container.Name == name {
				return container, true
			}
		}
	}
	return corev1.Container{}, false
}

// novolumeHook is the stock hook of containerMode kubernetes-novolume in the
// runner's image (actions/runner, images/Dockerfile).
const novolumeHook = "/k8s-novolume/"

// Novolume returns by what the runner pod shows that it is set up for
// containerMode kubernetes-novolume, or "". In that mode gha-runner-scale-set
// names the hook, unless the operator names another, sets ACTIONS_RUNNER_IMAGE
// and mounts no work volume (its templates/_helpers.tpl, from 0.13.0 on). That
// variable alone proves nothing: an operator may have set it.
func Novolume(pod *corev1.Pod) string {
	runner, _ := findContainer(pod, containerRunner)
	image := ""
	for _, variable := range runner.Env {
		switch variable.Name {
		case "ACTIONS_RUNNER_CONTAINER_HOOKS", "KILN_DELEGATE":
			if strings.Contains(variable.Value, novolumeHook) {
				return variable.Name + "=" + variable.Value
			}
		case "ACTIONS_RUNNER_IMAGE":
			image = variable.Name + " is set"
		}
	}
	if _, _, err := workVolume(pod); err != nil {
		return image
	}
	return ""
}

// workVolume returns the claim behind the runner's work folder and where the
// runner container mounts it.
func workVolume(pod *corev1.Pod) (claim, mount string, err error) {
	runner, _ := findContainer(pod, containerRunner)
	if mount, err = workMount(pod.Name, runner); err != nil {
		return "", "", err
	}
	for _, volume := range pod.Spec.Volumes {
		if volume.Name != volumeWork {
			continue
		}
		if volume.PersistentVolumeClaim != nil {
			return volume.PersistentVolumeClaim.ClaimName, mount, nil
		}
		if volume.Ephemeral != nil {
			// The name that Kubernetes gives the claim of a generic ephemeral
			// volume (Kubernetes docs, "PersistentVolumeClaim naming").
			return pod.Name + "-" + volumeWork, mount, nil
		}
	}
	return "", "", fmt.Errorf("the volume %q of the runner pod %s is not a persistent volume claim: an action's pod can share no other", volumeWork, pod.Name)
}

// workMount returns where the runner container mounts the work volume, which has
// to be the whole of it. A part, a subPath or subPathExpr, is of a claim that
// holds what is not this runner's, and no pod could be kept to the part: the
// kubelet follows symbolic links in a sub-path anywhere in the volume
// (kubernetes pkg/volume/util/subpath), and workflow code makes those below its
// part as it likes.
func workMount(pod string, runner corev1.Container) (string, error) {
	whole, part := "", ""
	for _, m := range runner.VolumeMounts {
		switch {
		case m.Name != volumeWork:
		case m.SubPath == "" && m.SubPathExpr == "":
			whole = m.MountPath
		case part == "" || path.Base(m.MountPath) == workFolder:
			part = m.MountPath
		}
	}
	switch {
	case part != "" && (whole == "" || path.Base(part) == workFolder):
		return "", fmt.Errorf("the container %q of the runner pod %s mounts a part of the volume %q at %s (subPath or subPathExpr): an action's pod can share no part of a claim without reaching the rest of it, which is other runners'; give each runner a claim of its own, as the overlays do, and mount the whole of it",
			containerRunner, pod, volumeWork, part)
	case whole == "":
		return "", fmt.Errorf("the container %q of the runner pod %s mounts no volume %q: actions need the work folder", containerRunner, pod, volumeWork)
	}
	return whole, nil
}
