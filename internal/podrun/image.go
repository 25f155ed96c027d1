package podrun

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// ImageMissing reports whether the kubelet has found that the registry does not
// hold the image of a container that waits. The texts are those of the registry
// errors of the OCI distribution specification and of containerd
// (core/remotes/docker/resolver.go).
func ImageMissing(pod *corev1.Pod, container string) bool {
	status := containerStatus(pod, container)
	if status == nil || status.State.Waiting == nil {
		return false
	}
	waiting := status.State.Waiting
	if waiting.Reason != "ErrImagePull" && waiting.Reason != "ImagePullBackOff" {
		return false
	}
	message := strings.ToLower(waiting.Message)
	return slices.ContainsFunc([]string{"not found", "manifest unknown", "name unknown"}, func(text string) bool {
		return strings.Contains(message, text)
	})
}
