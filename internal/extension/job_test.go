package extension_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"kiln/internal/extension"
)

// asked is a pod of a job whose author asks for as much as options can.
func asked() corev1.PodSpec {
	q := resource.MustParse
	return corev1.PodSpec{
		SecurityContext: &corev1.PodSecurityContext{
			SeccompProfile:     &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			SupplementalGroups: []int64{44}, Sysctls: []corev1.Sysctl{{Name: "a", Value: "1"}},
		},
		DNSPolicy: corev1.DNSNone, DNSConfig: &corev1.PodDNSConfig{Nameservers: []string{"1.1.1.1"}, Searches: []string{"x"}},
		Containers: []corev1.Container{{
			Name: "job",
			SecurityContext: &corev1.SecurityContext{
				RunAsUser: new(int64(3)), RunAsGroup: new(int64(4)), ReadOnlyRootFilesystem: new(true),
				Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"CHOWN"}, Drop: []corev1.Capability{"MKNOD"}},
			},
			Resources: corev1.ResourceRequirements{
				Limits:   corev1.ResourceList{"cpu": q("2"), "memory": q("4Gi"), "nvidia.com/gpu": q("4")},
				Requests: corev1.ResourceList{"cpu": q("0"), "memory": q("3Gi"), "nvidia.com/gpu": q("4")},
			},
		}},
	}
}

// TestApplyToJob keeps what the options ask for beside what the template sets.
func TestApplyToJob(t *testing.T) {
	q := resource.MustParse
	for name, tt := range map[string]struct {
		template string
		change   func(pod *corev1.PodSpec, c *corev1.Container)
	}{
		"nothing of it": {"spec: {priorityClassName: jobs}", func(pod *corev1.PodSpec, _ *corev1.Container) { pod.PriorityClassName = "jobs" }},
		"resources": {"spec: {containers: [{name: $job, resources: {requests: {cpu: 100m, memory: 1Gi}, limits: {memory: 2Gi, nvidia.com/gpu: 1, ephemeral-storage: 1Gi}}}]}", func(_ *corev1.PodSpec, c *corev1.Container) {
			c.Resources.Requests = corev1.ResourceList{"cpu": q("100m"), "memory": q("1Gi"), "nvidia.com/gpu": q("1")}
			c.Resources.Limits = corev1.ResourceList{"cpu": q("2"), "memory": q("2Gi"), "nvidia.com/gpu": q("1"), "ephemeral-storage": q("1Gi")}
		}},
		"higher limits": {"spec: {containers: [{name: $job, resources: {requests: {memory: 5Gi}, limits: {cpu: 8, memory: 8Gi, nvidia.com/gpu: 8}}}]}", func(_ *corev1.PodSpec, c *corev1.Container) {
			c.Resources.Requests = corev1.ResourceList{"memory": q("4Gi"), "nvidia.com/gpu": q("4")}
		}},
		"a lower limit below the reservation": {"spec: {containers: [{name: $job, resources: {limits: {memory: 1Gi}}}]}", func(_ *corev1.PodSpec, c *corev1.Container) {
			c.Resources.Requests["memory"], c.Resources.Limits["memory"] = q("1Gi"), q("1Gi")
		}},
		"a user": {"spec: {containers: [{name: $job, securityContext: {runAsUser: 1001, allowPrivilegeEscalation: false}}]}", func(_ *corev1.PodSpec, c *corev1.Container) {
			c.SecurityContext.RunAsUser, c.SecurityContext.RunAsGroup, c.SecurityContext.AllowPrivilegeEscalation = new(int64(1001)), nil, new(false)
		}},
		"a group": {"spec: {containers: [{name: $job, securityContext: {runAsGroup: 7}}]}", func(_ *corev1.PodSpec, c *corev1.Container) {
			c.SecurityContext.RunAsGroup = new(int64(7))
		}},
		"capabilities": {"spec: {containers: [{name: $job, securityContext: {capabilities: {drop: [ALL, MKNOD]}}}]}", func(_ *corev1.PodSpec, c *corev1.Container) {
			c.SecurityContext.Capabilities = &corev1.Capabilities{Drop: []corev1.Capability{"ALL", "MKNOD"}}
		}},
		"capabilities to add": {"spec: {containers: [{name: $job, securityContext: {capabilities: {add: [KILL]}}}]}", func(_ *corev1.PodSpec, c *corev1.Container) {
			c.SecurityContext.Capabilities = &corev1.Capabilities{Add: []corev1.Capability{"KILL"}, Drop: []corev1.Capability{"MKNOD"}}
		}},
		"the pod": {"spec: {securityContext: {fsGroup: 1, supplementalGroups: [5]}}", func(pod *corev1.PodSpec, _ *corev1.Container) {
			pod.SecurityContext.FSGroup, pod.SecurityContext.SupplementalGroups = new(int64(1)), []int64{5}
		}},
		"options of names": {"spec: {dnsConfig: {options: [{name: ndots, value: '2'}]}}", func(pod *corev1.PodSpec, _ *corev1.Container) {
			pod.DNSConfig.Options = []corev1.PodDNSConfigOption{{Name: "ndots", Value: new("2")}}
		}},
		"a name server": {"spec: {dnsConfig: {nameservers: [10.0.0.53]}}", func(pod *corev1.PodSpec, _ *corev1.Container) {
			pod.DNSPolicy, pod.DNSConfig.Nameservers = "", []string{"10.0.0.53"}
		}},
		"nothing but its own": {"spec: {securityContext: ~, dnsConfig: ~, containers: [{name: $job, resources: ~, securityContext: ~}]}", func(pod *corev1.PodSpec, c *corev1.Container) {
			pod.SecurityContext, pod.DNSConfig, pod.DNSPolicy = nil, nil, ""
			c.SecurityContext, c.Resources = nil, corev1.ResourceRequirements{}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			template, err := extension.Parse([]byte(tt.template))
			if err != nil {
				t.Fatal(err)
			}
			want, got := asked(), asked()
			tt.change(&want, &want.Containers[0])
			for range 2 { // the template is not used up
				got = asked()
				if ignored, err := template.ApplyToJob(&got); err != nil || len(ignored) > 0 {
					t.Fatalf("ApplyToJob = %v, %v", ignored, err)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("pod (-want +got):\n%s", diff)
			}
		})
	}
}

// TestNoRefusedPair: the API server takes no container that is privileged and may gain
// no privileges. The template's has its way.
func TestNoRefusedPair(t *testing.T) {
	for name, tt := range map[string]struct {
		template   string
		have, want corev1.SecurityContext
	}{
		"privileged":        {"{allowPrivilegeEscalation: false}", corev1.SecurityContext{Privileged: new(true)}, corev1.SecurityContext{AllowPrivilegeEscalation: new(false)}},
		"no new privileges": {"{privileged: true}", corev1.SecurityContext{AllowPrivilegeEscalation: new(false)}, corev1.SecurityContext{Privileged: new(true)}},
	} {
		t.Run(name, func(t *testing.T) {
			template, err := extension.Parse([]byte("spec: {containers: [{name: $job, securityContext: " + tt.template + "}]}"))
			if err != nil {
				t.Fatal(err)
			}
			spec := corev1.PodSpec{Containers: []corev1.Container{{Name: "job", SecurityContext: &tt.have}}}
			if _, err := template.ApplyToJob(&spec); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&tt.want, spec.Containers[0].SecurityContext); diff != "" {
				t.Errorf("security context (-want +got):\n%s", diff)
			}
		})
	}
}
