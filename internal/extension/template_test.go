package extension_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/action"
	"kiln/internal/extension"
	"kiln/internal/hook"
)

const full = `
apiVersion: v1
kind: PodTemplate
metadata:
  labels: {team: ci, runner-pod: runner, kiln.build/role: stolen}
  annotations: {cost-centre: "42"}
spec:
  restartPolicy: OnFailure
  priorityClassName: builds
  securityContext: {runAsUser: 1001, fsGroup: 1001}
  tolerations: [{key: ci, operator: Exists}]
  volumes: [{name: cache, emptyDir: {}}]
  containers:
  - name: $job
    image: other
    command: [evil]
    args: [more]
    workingDir: /elsewhere
    env: [{name: EXTRA, value: "1"}, {name: HOME, value: /root}]
    volumeMounts: [{name: cache, mountPath: /cache}]
    resources: {limits: {memory: 1Gi}}
  - name: $redis
    image: ignored
  - name: proxy
    image: proxy:1
`

// templated applies text to the Job of a step with one variable and an entry
// point.
func templated(t *testing.T, text string) (corev1.PodTemplateSpec, map[string]string, []string) {
	t.Helper()
	template, err := extension.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	job, err := action.Job(action.Step{
		Name: "kiln-x", Image: "img", Claim: "c", WorkMount: "/w",
		Labels:    map[string]string{"kiln.build/role": "action"},
		Container: hook.Container{EntryPoint: "/run", WorkingDirectory: "/github/workspace", EnvironmentVariables: map[string]string{"HOME": "/github/home"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ignored, err := template.Apply(&job.Spec.Template.Spec, &job.ObjectMeta, &job.Spec.Template.ObjectMeta)
	if err != nil {
		t.Fatal(err)
	}
	return job.Spec.Template, job.Labels, ignored
}

func TestTemplate(t *testing.T) {
	pod, jobLabels, ignored := templated(t, full)
	wantLabels := map[string]string{"team": "ci", "kiln.build/role": "action"}
	if diff := cmp.Diff(wantLabels, pod.Labels) + cmp.Diff(wantLabels, jobLabels); diff != "" {
		t.Errorf("labels: %s", diff)
	}
	if pod.Annotations["cost-centre"] != "42" || pod.Spec.PriorityClassName != "builds" || *pod.Spec.SecurityContext.FSGroup != 1001 {
		t.Errorf("pod = %+v", pod)
	}
	if pod.Spec.RestartPolicy != corev1.RestartPolicyNever || len(pod.Spec.Volumes) != 2 || len(pod.Spec.Containers) != 2 || pod.Spec.Containers[1].Name != "proxy" {
		t.Errorf("spec = %+v", pod.Spec)
	}
	job := pod.Spec.Containers[0]
	if job.Name != "job" || job.Image != "img" || job.WorkingDir != "/github/workspace" || len(job.Args) != 0 || cmp.Diff([]string{"/run"}, job.Command) != "" {
		t.Errorf("container = %+v", job)
	}
	if job.Resources.Limits.Memory().String() != "1Gi" || len(job.VolumeMounts) != 2 {
		t.Errorf("container = %+v", job)
	}
	last := job.Env[len(job.Env)-1]
	if last.Name != "EXTRA" || last.Value != "1" {
		t.Errorf("last variable = %+v", last)
	}
	for _, variable := range job.Env {
		if variable.Name == "HOME" && variable.ValueFrom == nil {
			t.Error("the template replaced HOME")
		}
	}
	want := []string{"$job.args", "$job.command", "$job.env HOME", "$job.image", "$job.workingDir", "metadata kiln.build/role", "metadata runner-pod", "spec.restartPolicy"}
	if diff := cmp.Diff(want, ignored); diff != "" {
		t.Errorf("ignored (-want +got):\n%s", diff)
	}
}

func TestTemplateIsNotUsedUp(t *testing.T) {
	template, err := extension.Parse([]byte(full))
	if err != nil {
		t.Fatal(err)
	}
	var pods []corev1.PodSpec
	for range 2 {
		job, err := action.Job(action.Step{Name: "kiln-x", Image: "img", Claim: "c", WorkMount: "/w"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := template.Apply(&job.Spec.Template.Spec, &job.ObjectMeta, &job.Spec.Template.ObjectMeta); err != nil {
			t.Fatal(err)
		}
		pods = append(pods, job.Spec.Template.Spec)
	}
	if diff := cmp.Diff(pods[0], pods[1]); diff != "" {
		t.Errorf("second use (-first +second):\n%s", diff)
	}
}

func TestNoTemplate(t *testing.T) {
	job, err := action.Job(action.Step{Name: "kiln-x", Image: "img", Claim: "c", WorkMount: "/w"})
	if err != nil {
		t.Fatal(err)
	}
	var none *extension.Template
	if ignored, err := none.Apply(&job.Spec.Template.Spec); err != nil || ignored != nil {
		t.Errorf("Apply = %v, %v", ignored, err)
	}
}

func TestParseTemplateRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"not yaml":         {"a: [", "parse pod template"},
		"not an object":    {"- a", "parse pod template"},
		"unknown key":      {"spec: {nodeSelectr: {}}", "nodeSelectr"},
		"wrong type":       {"spec: {priorityClassName: [1]}", "priorityClassName"},
		"the name job":     {"spec: {containers: [{name: job}]}", "call it $job"},
		"no name":          {"spec: {containers: [{image: x}]}", "call it $job"},
		"a bare container": {"spec: {containers: [x]}", "parse pod template"},
		"a number as text": {"metadata:\n  labels: {team: 0777}", "line 2: metadata.labels.team: is 0777"},
		"a truth as text":  {"spec:\n  containers: [{name: $job, env: [{name: A, value: true}]}]", "line 2: spec.containers[0].env[0].value: is true"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := extension.Parse([]byte(tc.text)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error = %v, want %q", err, tc.want)
			}
		})
	}
}

// TestTemplateOfYAML12 merges values that YAML 1.1 takes for truths and numbers
// and that the stock hook takes for text, and null, which both leave out.
func TestTemplateOfYAML12(t *testing.T) {
	pod, labels, _ := templated(t, `
metadata:
  labels: {n: yes, on: N, empty: ~}
spec:
  nodeSelector: {gpu: on, zone: ~}
  securityContext: ~
  tolerations: [{key: y, value: 1:20, tolerationSeconds: 0x10}]
  containers:
  - name: $job
    env: [{name: N, value: off}, {name: E, value: ~}]
    securityContext: ~
    resources: {requests: {cpu: .5}}
  - {name: side, image: img, args: [off, no]}
`)
	if empty, found := labels["empty"]; labels["n"] != "yes" || labels["on"] != "N" || !found || empty != "" {
		t.Errorf("labels = %v", labels)
	}
	spec := pod.Spec
	if diff := cmp.Diff(map[string]string{"gpu": "on", "zone": ""}, spec.NodeSelector) +
		cmp.Diff([]corev1.Toleration{{Key: "y", Value: "1:20", TolerationSeconds: new(int64(16))}}, spec.Tolerations) +
		cmp.Diff([]string{"off", "no"}, spec.Containers[1].Args); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
	job := spec.Containers[0]
	if spec.SecurityContext != nil || job.SecurityContext != nil || job.Resources.Requests.Cpu().String() != "500m" {
		t.Errorf("spec = %+v", spec)
	}
	if diff := cmp.Diff([]corev1.EnvVar{{Name: "N", Value: "off"}, {Name: "E"}}, job.Env[len(job.Env)-2:]); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}
}

// TestTemplateByName changes each container of a pod by what is called after it.
func TestTemplateByName(t *testing.T) {
	template, err := extension.Parse([]byte("spec: {containers: [{name: $redis, image: other, resources: {limits: {cpu: 1}}, env: [{name: A, value: b}]}, {name: $absent, image: x}]}"))
	if err != nil {
		t.Fatal(err)
	}
	spec := corev1.PodSpec{Containers: []corev1.Container{{Name: "job", Image: "debian"}, {Name: "redis", Image: "redis:7", Env: []corev1.EnvVar{{Name: "A"}}}}}
	ignored, err := template.Apply(&spec)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"$redis.env A", "$redis.image"}, ignored); diff != "" {
		t.Errorf("ignored (-want +got):\n%s", diff)
	}
	redis := spec.Containers[1]
	if len(spec.Containers) != 2 || redis.Image != "redis:7" || redis.Resources.Limits.Cpu().String() != "1" || len(redis.Env) != 1 || spec.Containers[0].Resources.Limits != nil {
		t.Errorf("containers = %+v", spec.Containers)
	}
}

// TestTemplateAdds has a template add to lists that a pod of kiln's has already.
func TestTemplateAdds(t *testing.T) {
	template, err := extension.Parse([]byte(`
spec:
  imagePullSecrets: [{name: theirs}, {name: registry}]
  volumes: [{name: cache, emptyDir: {}}]
  hostAliases: [{ip: 10.0.0.1, hostnames: [mirror]}]
  initContainers: [{name: proxy, image: proxy}]
`))
	if err != nil {
		t.Fatal(err)
	}
	have := corev1.PodSpec{
		ImagePullSecrets: []corev1.LocalObjectReference{{Name: "own"}, {Name: "registry"}},
		Volumes:          []corev1.Volume{{Name: "work"}},
		HostAliases:      []corev1.HostAlias{{IP: "127.0.0.1", Hostnames: []string{"db"}}},
		InitContainers:   []corev1.Container{{Name: "kiln-agent"}},
	}
	want := corev1.PodSpec{
		ImagePullSecrets: []corev1.LocalObjectReference{{Name: "own"}, {Name: "registry"}, {Name: "theirs"}},
		Volumes:          []corev1.Volume{{Name: "work"}, {Name: "cache", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
		HostAliases:      []corev1.HostAlias{{IP: "127.0.0.1", Hostnames: []string{"db"}}, {IP: "10.0.0.1", Hostnames: []string{"mirror"}}},
		InitContainers:   []corev1.Container{{Name: "kiln-agent"}, {Name: "proxy", Image: "proxy"}},
	}
	for name, apply := range map[string]func(*corev1.PodSpec, ...*metav1.ObjectMeta) ([]string, error){"action": template.Apply, "job": template.ApplyToJob} {
		t.Run(name, func(t *testing.T) {
			got := *have.DeepCopy()
			if _, err := apply(&got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("pod (-want +got):\n%s", diff)
			}
		})
	}
}
