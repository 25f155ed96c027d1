package harness

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

func testCluster() *Cluster {
	return &Cluster{Environment: Environment{
		Root: "../..", KanikoImage: "r:5000/kaniko:v1", KanikoFlavor: "chainguard@1.25.16", Mirrors: "docker.io=r:5000", Insecure: "r:5000", StorageClass: "standard",
	}}
}

// The pod that the tests run in is the one that the repository tells people to
// use; the sealed mode's promises are looked at here, without a cluster.
func TestRunnerPodIsSealed(t *testing.T) {
	pod, err := testCluster().RunnerPod(PodOptions{
		Name: "runner", Images: Images{Kiln: "r:5000/kiln:1", Runner: "r:5000/runner:1"},
		RegistryHost: "r:5000/actions", PullSecret: PullSecret,
	})
	if err != nil {
		t.Fatal(err)
	}
	if a := pod.Spec.AutomountServiceAccountToken; a == nil || *a {
		t.Error("the pod mounts its token into every container")
	}
	mounts := map[string][]string{}
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		for _, m := range c.VolumeMounts {
			mounts[m.Name] = append(mounts[m.Name], c.Name)
		}
	}
	want := map[string][]string{
		"kiln-bin":      {"kiln", "runner"},
		"kiln-exchange": {"kiln", "runner"},
		"kiln-files":    {"kiln"},
		"kiln-state":    {"kiln"},
		"kiln-registry": {"kiln"},
		"kiln-token":    {"kiln"},
		"work":          {"runner"},
	}
	if diff := cmp.Diff(want, mounts); diff != "" {
		t.Errorf("who mounts what (-want +got):\n%s", diff)
	}
	env := map[string]string{}
	for _, e := range pod.Spec.InitContainers[0].Env {
		env[e.Name] = e.Value
	}
	for name, want := range map[string]string{
		"ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_HOST":        "r:5000/actions",
		"ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_SECRET_NAME": PullSecret,
		"KILN_KANIKO_IMAGE":        "r:5000/kaniko:v1",
		"KILN_KANIKO_FLAVOR":       "chainguard@1.25.16",
		"KILN_REGISTRY_MIRRORS":    "docker.io=r:5000",
		"KILN_INSECURE_REGISTRIES": "r:5000",
	} {
		if env[name] != want {
			t.Errorf("%s = %q, want %q", name, env[name], want)
		}
	}
}

func TestRunnerPodOptions(t *testing.T) {
	pod, err := testCluster().RunnerPod(PodOptions{
		Name: "runner", WithoutDaemon: true, ShareProcesses: true,
		ExchangeLimit: resource.MustParse("4Mi"),
		RunnerEnv:     map[string]string{"KILN_DAEMON_GRACE": "2s"},
		WorkFolder:    "/srv/w",
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(pod.Spec.InitContainers); n != 1 {
		t.Errorf("pod has %d init containers, want the installer alone", n)
	}
	if !slices.Contains(pod.Spec.Containers[0].Env, corev1.EnvVar{Name: "KILN_DAEMON_GRACE", Value: "2s"}) {
		t.Errorf("runner's environment = %v", pod.Spec.Containers[0].Env)
	}
	if !slices.ContainsFunc(pod.Spec.Containers[0].VolumeMounts, func(m corev1.VolumeMount) bool {
		return m.Name == workVolume && m.MountPath == "/srv/w"
	}) {
		t.Errorf("runner's mounts = %v", pod.Spec.Containers[0].VolumeMounts)
	}
	for _, v := range pod.Spec.Volumes {
		if v.Name == exchangeVolume && (v.EmptyDir.Medium != corev1.StorageMediumMemory || v.EmptyDir.SizeLimit.String() != "4Mi") {
			t.Errorf("exchange = %+v", v.EmptyDir)
		}
		if v.Name == workVolume && *v.Ephemeral.VolumeClaimTemplate.Spec.StorageClassName != "standard" {
			t.Errorf("work volume = %+v", v.Ephemeral)
		}
	}
	if s := pod.Spec.ShareProcessNamespace; s == nil || !*s {
		t.Error("processes are not shared")
	}
}
