package runnerpod

import corev1 "k8s.io/api/core/v1"

// selinux returns the SELinux label that the runner container has, and how the
// runner pod's volumes get theirs. Pods with another label cannot use the work
// volume beside it: the later one takes it from the earlier one, or does not
// start (Kubernetes docs, "Efficient SELinux volume relabeling").
func selinux(pod *corev1.Pod) (*corev1.SELinuxOptions, *corev1.PodSELinuxChangePolicy) {
	var options *corev1.SELinuxOptions
	var change *corev1.PodSELinuxChangePolicy
	if all := pod.Spec.SecurityContext; all != nil {
		options, change = all.SELinuxOptions, all.SELinuxChangePolicy
	}
	runner, _ := findContainer(pod, containerRunner)
	if own := runner.SecurityContext; own != nil && own.SELinuxOptions != nil {
		options = own.SELinuxOptions
	}
	return options, change
}
