package jobrun_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"kiln/internal/extension"
)

// templated prepares a job with those options under a template, and returns its pod
// and the warnings of the log.
func templated(t *testing.T, template, options string) (pod *corev1.Pod, warnings []string) {
	t.Helper()
	parsed, err := extension.Parse([]byte(template))
	if err != nil {
		t.Fatal(err)
	}
	s := newStage(t, runs, nil)
	s.options.Template = parsed
	s.again()
	asked := debian()
	asked.Container.Container.CreateOptions = options
	if _, err := s.prepare(t.Context(), asked); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(s.log.String()) {
		if rest, is := strings.CutPrefix(line, "::warning::kiln: "); is {
			warnings = append(warnings, strings.TrimSpace(rest))
		}
	}
	return s.cluster.Pods()[0], warnings
}

// TestTemplateKeepsOptions: what the template says nothing of is as the options ask,
// and what it replaces is said.
func TestTemplateKeepsOptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pod, warnings := templated(t, `
spec:
  securityContext: {fsGroup: 1001}
  dnsConfig: {options: [{name: ndots, value: "2"}]}
  containers:
  - name: $job
    resources: {requests: {cpu: 100m}, limits: {memory: 2Gi}}
    securityContext: {allowPrivilegeEscalation: false, runAsUser: 1001}
`, "--cpus 2 --memory 4g --user 3 --read-only --cap-drop MKNOD --group-add 5 --dns 1.1.1.1")
		q := resource.MustParse
		container := pod.Spec.Containers[0]
		wantResources := corev1.ResourceRequirements{
			Limits:   corev1.ResourceList{"cpu": q("2"), "memory": q("2Gi")},
			Requests: corev1.ResourceList{"cpu": q("100m")},
		}
		wantSecurity := &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false), RunAsUser: new(int64(1001)), ReadOnlyRootFilesystem: new(true),
			Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"MKNOD"}},
		}
		wantPod := &corev1.PodSecurityContext{
			FSGroup: new(int64(1001)), SupplementalGroups: []int64{5},
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		}
		if diff := cmp.Diff(wantResources, container.Resources) + cmp.Diff(wantSecurity, container.SecurityContext) + cmp.Diff(wantPod, pod.Spec.SecurityContext); diff != "" {
			t.Errorf("pod (-want +got):\n%s", diff)
		}
		if dns := pod.Spec.DNSConfig; pod.Spec.DNSPolicy != corev1.DNSNone || len(dns.Nameservers) != 1 || len(dns.Options) != 1 {
			t.Errorf("names: %s, %v", pod.Spec.DNSPolicy, dns)
		}
		want := []string{
			"options: --memory: the template of these runners decides: 2Gi",
			"options: --user: the template of these runners decides",
		}
		if diff := cmp.Diff(want, warnings); diff != "" {
			t.Errorf("warnings (-want +got):\n%s", diff)
		}
	})
}
