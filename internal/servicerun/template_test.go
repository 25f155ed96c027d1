package servicerun_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"kiln/internal/extension"
	"kiln/internal/hook"
)

// template changes the job container and the service db, and has a container beside
// them.
const template = `
metadata: {labels: {team: ci}}
spec:
  imagePullSecrets: [{name: theirs}]
  volumes: [{name: cache, emptyDir: {}}]
  containers:
  - name: $job
    volumeMounts: [{name: cache, mountPath: /cache}]
  - name: $db
    resources: {requests: {cpu: 100m}, limits: {memory: 1Gi}}
  - name: proxy
    image: proxy:1
`

// TestServicesTemplate: what a template has for a container changes that container
// alone, in whichever pod it is, and its further containers are beside the job
// container.
func TestServicesTemplate(t *testing.T) {
	for name, tt := range map[string]struct {
		asked hook.Job
		want  map[string]bool // the containers of each pod
	}{
		"beside": {with(serviceOf("postgres:16", "--memory 2g --cpus 1"), serviceOf("redis:7", "")), map[string]bool{"job db cache proxy": true}},
		"apart":  {with(serviceOf("redis:7", ""), serviceOf("postgres:16", "--memory 2g --cpus 1"), serviceOf("redis:7", "")), map[string]bool{"job cache db proxy": true, "kiln-hosts more": true}},
		"alone":  {hook.Job{Services: with(serviceOf("postgres:16", "--memory 2g --cpus 1"), serviceOf("redis:7", "")).Services}, map[string]bool{"kiln-hosts db": true, "kiln-hosts cache": true}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, serves(0))
				var err error
				if s.options.Template, err = extension.Parse([]byte(template)); err != nil {
					t.Fatal(err)
				}
				s.again()
				names := []string{"db", "cache"}
				if len(tt.asked.Services) == 3 {
					names = []string{"cache", "db", "more"}
				}
				tt.asked.Services[0].Registry = &hook.Registry{Username: "user", Password: "secret"}
				if _, err := s.prepare(tt.asked, names...); err != nil {
					t.Fatal(err)
				}
				got := map[string]bool{}
				for _, pod := range s.cluster.Pods() {
					got[strings.Join(containersOf(pod), " ")] = true
					lookTemplated(t, pod)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("pods (-want +got):\n%s", diff)
				}
				const want = "::warning::kiln: the service db: options: --memory: the template of these runners decides: 1Gi\n"
				if log := s.log.String(); strings.Count(log, "::warning::") != 1 || !strings.Contains(log, want) {
					t.Errorf("the log lacks %q:\n%s", want, log)
				}
			})
		})
	}
}

// lookTemplated looks at what the template has made of a pod.
func lookTemplated(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	if pod.Labels["team"] != "ci" {
		t.Errorf("labels = %v", pod.Labels)
	}
	if secrets := pod.Spec.ImagePullSecrets; len(secrets) != 2 || !strings.HasSuffix(secrets[0].Name, "-pull") || secrets[1].Name != "theirs" {
		t.Errorf("pull secrets = %v", secrets)
	}
	q := resource.MustParse
	for _, c := range pod.Spec.Containers {
		want := corev1.ResourceRequirements{}
		if c.Name == "db" {
			want = corev1.ResourceRequirements{
				Limits:   corev1.ResourceList{"cpu": q("1"), "memory": q("1Gi")},
				Requests: corev1.ResourceList{"cpu": q("100m")},
			}
		}
		if diff := cmp.Diff(want, c.Resources); diff != "" {
			t.Errorf("resources of %s (-want +got):\n%s", c.Name, diff)
		}
		mounted := slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == "/cache" })
		if mounted != (c.Name == "job") {
			t.Errorf("mounts of %s = %v", c.Name, c.VolumeMounts)
		}
	}
}
