package podoptions_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"kiln/internal/podoptions"
)

// TestReplaced takes each option out of a pod, or changes it.
func TestReplaced(t *testing.T) {
	const line = "--cpus 2 --memory 4g --memory-reservation 1g --gpus 2 --user 3:4 --read-only --privileged --cap-add CHOWN --cap-drop MKNOD " +
		"--security-opt seccomp=unconfined --security-opt apparmor=p --security-opt label=level:s0 --pull missing " +
		"--group-add 5 --sysctl net.ipv4.tcp_syncookies=0 --dns 1.1.1.1 --dns-search x --dns-opt rotate"
	at := place()
	at.Policy = podoptions.Policy{Rights: true, GPU: "nvidia.com/gpu", GPUs: 4}
	spec, err := of(t, line, nil, at)
	if err != nil {
		t.Fatal(err)
	}
	var before corev1.PodSpec
	for _, name := range []string{"job", "db"} {
		container := corev1.Container{Name: name}
		spec.Apply(&container)
		before.Containers = append(before.Containers, container)
	}
	before.Hostname = "h"
	spec.Pod.Apply(&before)
	const decides = ": the template of these runners decides"
	for name, tt := range map[string]struct {
		change func(after *corev1.PodSpec)
		want   []string
	}{
		"nothing": {func(*corev1.PodSpec) {}, nil},
		"what nobody asked for": {func(after *corev1.PodSpec) {
			after.SecurityContext.FSGroup, after.PriorityClassName = new(int64(1)), "x"
			after.Containers[0].SecurityContext.RunAsNonRoot = new(true)
			after.Containers[0].Resources.Limits["ephemeral-storage"] = quantity("1Gi")
			after.Containers[0].Resources.Requests["cpu"] = quantity("1")
			after.Containers[0].SecurityContext.Capabilities.Drop = append(after.Containers[0].SecurityContext.Capabilities.Drop, "KILL")
			after.Containers = append(after.Containers, corev1.Container{Name: "side"})
		}, nil},
		"all of a container": {func(after *corev1.PodSpec) { after.Containers[0] = corev1.Container{Name: "job"} }, []string{
			"options: --cpus" + decides, "options: --memory" + decides, "options: --gpus" + decides, "options: --memory-reservation" + decides + ": 0",
			"options: --user" + decides, "options: --privileged" + decides, "options: --read-only" + decides,
			"options: --security-opt seccomp" + decides, "options: --security-opt apparmor" + decides, "options: --security-opt label" + decides,
			"options: --cap-add" + decides, "options: --cap-drop" + decides, "options: --pull" + decides,
		}},
		"all of the pod": {func(after *corev1.PodSpec) {
			*after = corev1.PodSpec{Containers: after.Containers}
		}, []string{
			"options: --group-add" + decides, "options: --sysctl" + decides, "options: --dns" + decides,
			"options: --dns-search" + decides, "options: --dns-option" + decides, "options: --hostname" + decides,
		}},
		"a lower limit of a service": {func(after *corev1.PodSpec) {
			after.Containers[1].Resources.Limits["memory"] = quantity("1Gi")
			after.Containers[1].SecurityContext.RunAsGroup = nil
		}, []string{"the service db: options: --memory" + decides + ": 1Gi", "the service db: options: --user" + decides}},
		"the policy of names": {func(after *corev1.PodSpec) { after.DNSPolicy = corev1.DNSDefault }, []string{"options: --dns" + decides}},
	} {
		t.Run(name, func(t *testing.T) {
			after := before.DeepCopy()
			tt.change(after)
			if diff := cmp.Diff(tt.want, podoptions.Replaced(&before, after, "job")); diff != "" {
				t.Errorf("Replaced (-want +got):\n%s", diff)
			}
		})
	}
}
