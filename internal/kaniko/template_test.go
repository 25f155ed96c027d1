package kaniko_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/kaniko"
)

func TestTemplate(t *testing.T) {
	template, err := kaniko.ParseTemplate([]byte(`
metadata:
  labels: {team: ci, kiln.build/role: stolen}
  annotations: {sidecar.istio.io/inject: "false"}
spec:
  nodeSelector: {pool: builds}
  tolerations: [{key: builds, operator: Exists}]
  priorityClassName: low
  hostUsers: false
  containers:
  - name: kaniko
    resources: {limits: {memory: 4Gi}}
`))
	if err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"kiln.build/role": "build"}},
		Spec: corev1.PodSpec{
			NodeSelector: map[string]string{"kubernetes.io/arch": "amd64"},
			Tolerations:  []corev1.Toleration{{Key: "ci"}},
			Containers:   []corev1.Container{{Name: "kaniko"}, {Name: "gate"}},
		},
	}
	template.Apply(pod)
	if diff := cmp.Diff(map[string]string{"team": "ci", "kiln.build/role": "build"}, pod.Labels); diff != "" {
		t.Errorf("labels: %s", diff)
	}
	if diff := cmp.Diff(map[string]string{"pool": "builds", "kubernetes.io/arch": "amd64"}, pod.Spec.NodeSelector); diff != "" {
		t.Errorf("node selector: %s", diff)
	}
	if len(pod.Spec.Tolerations) != 2 || pod.Spec.PriorityClassName != "low" || *pod.Spec.HostUsers || pod.Annotations["sidecar.istio.io/inject"] != "false" {
		t.Errorf("pod = %+v", pod)
	}
	if pod.Spec.Containers[0].Resources.Limits.Memory().String() != "4Gi" || pod.Spec.Containers[1].Resources.Limits != nil {
		t.Errorf("containers = %+v", pod.Spec.Containers)
	}
}

func TestParseTemplateRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"what a build pod is made of": {"spec: {containers: [{name: kaniko, securityContext: {privileged: true}}]}", "securityContext"},
		"volumes":                     {"spec: {volumes: []}", "volumes"},
		"another container":           {"spec: {containers: [{name: spy}]}", `called "spy"`},
		"a truth as text":             {"spec:\n  nodeSelector:\n    gpu: true", "line 3: spec.nodeSelector.gpu: is true"},
		"a key that is no text":       {"metadata:\n  labels:\n    0777: x", "line 3: metadata.labels: the key 0777"},
		"text as a truth":             {"spec:\n  hostUsers: no", `line 2: spec.hostUsers: is "no": write true or false`},
		"not yaml":                    {"a: [", "parse build pod template"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := kaniko.ParseTemplate([]byte(tc.text)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error = %v, want %q", err, tc.want)
			}
		})
	}
}
