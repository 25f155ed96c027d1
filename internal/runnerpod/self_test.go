package runnerpod

import (
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	k8stesting "k8s.io/client-go/testing"

	"kiln/internal/failure"
	"kiln/internal/kube/kubetest"
	"kiln/internal/podrun"
)

// runnerPod is a runner pod as the sealed overlay makes it.
func runnerPod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "set-runner-abcde", UID: "u-1"},
		Spec: corev1.PodSpec{
			NodeName:         "node-1",
			Tolerations:      []corev1.Toleration{{Key: "ci"}},
			ImagePullSecrets: []corev1.LocalObjectReference{{Name: "pull"}},
			InitContainers:   []corev1.Container{{Name: "kiln", Image: "registry.example.com/kiln:1", ImagePullPolicy: corev1.PullAlways}},
			Containers: []corev1.Container{{Name: "runner", VolumeMounts: []corev1.VolumeMount{
				{Name: "kiln-bin", MountPath: "/opt/kiln"},
				{Name: "work", MountPath: "/home/runner/_work"},
			}}},
			Volumes: []corev1.Volume{{Name: "work", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}}},
		},
	}
}

func TestOf(t *testing.T) {
	got, err := Of(runnerPod())
	if err != nil {
		t.Fatal(err)
	}
	want := Self{
		Name: "set-runner-abcde", UID: "u-1", NodeName: "node-1",
		Image: "registry.example.com/kiln:1", PullPolicy: corev1.PullAlways,
		PullSecrets: []corev1.LocalObjectReference{{Name: "pull"}},
		Tolerations: []corev1.Toleration{{Key: "ci"}},
		Claim:       "set-runner-abcde-work", WorkMount: "/home/runner/_work",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("self (-want +got):\n%s", diff)
	}
}

// What the runner container sets itself counts before what its pod sets for all.
func TestOfSELinux(t *testing.T) {
	change := new(corev1.SELinuxChangePolicyMountOption)
	ofPod, ofRunner := &corev1.SELinuxOptions{Level: "s0:c1,c2"}, &corev1.SELinuxOptions{Type: "container_t", Level: "s0:c3,c4"}
	pod := runnerPod()
	pod.Spec.SecurityContext = &corev1.PodSecurityContext{SELinuxOptions: ofPod, SELinuxChangePolicy: change}
	for name, tt := range map[string]struct {
		runner *corev1.SecurityContext
		want   *corev1.SELinuxOptions
	}{
		"of the pod":       {nil, ofPod},
		"of the container": {&corev1.SecurityContext{SELinuxOptions: ofRunner}, ofRunner},
		"of another field": {&corev1.SecurityContext{RunAsUser: new(int64(1001))}, ofPod},
	} {
		pod.Spec.Containers[0].SecurityContext = tt.runner
		self, err := Of(pod)
		if err != nil || !cmp.Equal(self.SELinux, tt.want) || !cmp.Equal(self.SELinuxChange, change) {
			t.Errorf("%s: %v, %v, %v", name, self.SELinux, self.SELinuxChange, err)
		}
	}
}

func TestOfRefusesWhatCannotWork(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*corev1.Pod)
		want   string
	}{
		"no sidecar":        {func(p *corev1.Pod) { p.Spec.InitContainers = nil }, `no container "kiln"`},
		"no mount":          {func(p *corev1.Pod) { p.Spec.Containers[0].VolumeMounts = nil }, `mounts no volume "work"`},
		"a part of a claim": {func(p *corev1.Pod) { workMounts(p)[1].SubPath = "runner-1" }, "a part of the volume \"work\" at /home/runner/_work"},
		"a part by its pod": {func(p *corev1.Pod) { workMounts(p)[1].SubPathExpr = "$(POD_NAME)" }, "a part of the volume"},
		"a part beside the whole": {func(p *corev1.Pod) {
			workMounts(p)[1].SubPath = "runner-1"
			mountWork(p, corev1.VolumeMount{MountPath: "/all"})
		}, "at /home/runner/_work"},
		"an empty dir": {func(p *corev1.Pod) { p.Spec.Volumes[0].VolumeSource = corev1.VolumeSource{} }, "not a persistent volume claim"},
	} {
		t.Run(name, func(t *testing.T) {
			pod := runnerPod()
			tc.change(pod)
			if _, err := Of(pod); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error = %v, want %q", err, tc.want)
			}
		})
	}
}

// TestOfNovolume has the runner pods that Actions Runner Controller makes in
// containerMode kubernetes-novolume, and one that only looks like them.
func TestOfNovolume(t *testing.T) {
	withEnv := func(name, value string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Spec.Containers[0].Env = append(p.Spec.Containers[0].Env, corev1.EnvVar{Name: name, Value: value})
		}
	}
	noWork := func(p *corev1.Pod) { p.Spec.Containers[0].VolumeMounts, p.Spec.Volumes = nil, nil }
	emptyDir := func(p *corev1.Pod) {
		p.Spec.Volumes[0].VolumeSource = corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}
	}
	const stock = "/home/runner/k8s-novolume/index.js"
	image := withEnv("ACTIONS_RUNNER_IMAGE", "ghcr.io/actions/actions-runner:latest")
	for name, tc := range map[string]struct {
		changes []func(*corev1.Pod)
		sign    string // "" for a pod that kiln can use
	}{
		"the stock hook":                  {[]func(*corev1.Pod){noWork, image, withEnv("ACTIONS_RUNNER_CONTAINER_HOOKS", stock)}, "ACTIONS_RUNNER_CONTAINER_HOOKS=" + stock},
		"the stock hook as delegate":      {[]func(*corev1.Pod){noWork, image, withEnv("KILN_DELEGATE", stock)}, "KILN_DELEGATE=" + stock},
		"no delegate":                     {[]func(*corev1.Pod){noWork, image}, "ACTIONS_RUNNER_IMAGE is set"},
		"a work folder of the runner pod": {[]func(*corev1.Pod){emptyDir, image}, "ACTIONS_RUNNER_IMAGE is set"},
		"a work volume, but the hook":     {[]func(*corev1.Pod){image, withEnv("KILN_DELEGATE", stock)}, "KILN_DELEGATE=" + stock},
		"the variable alone":              {[]func(*corev1.Pod){image}, ""},
		"the hook with a volume, by name": {[]func(*corev1.Pod){withEnv("KILN_DELEGATE", "/home/runner/k8s/index.js"), withEnv("ACTIONS_RUNNER_HOOK_RWO", "true")}, ""},
		"the hook of another mode":        {[]func(*corev1.Pod){withEnv("KILN_DELEGATE", "/home/runner/k8s/index.js")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			pod := runnerPod()
			for _, change := range tc.changes {
				change(pod)
			}
			_, err := Of(pod)
			if tc.sign == "" {
				if err != nil {
					t.Errorf("error = %v", err)
				}
				return
			}
			want := "the runner pod set-runner-abcde is set up for containerMode kubernetes-novolume (" + tc.sign + "), which kiln does not support"
			if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error = %v, want %q", err, want)
			}
		})
	}
}

// workMounts are the mounts of the runner container.
func workMounts(pod *corev1.Pod) []corev1.VolumeMount { return pod.Spec.Containers[0].VolumeMounts }

// mountWork mounts the work volume in the runner container once more.
func mountWork(pod *corev1.Pod, mount corev1.VolumeMount) {
	mount.Name = volumeWork
	pod.Spec.Containers[0].VolumeMounts = append(workMounts(pod), mount)
}

// TestOfWithACacheBeside: a part that is mounted elsewhere takes nothing from
// the runner that it does not have.
func TestOfWithACacheBeside(t *testing.T) {
	pod := runnerPod()
	mountWork(pod, corev1.VolumeMount{MountPath: "/opt/hostedtoolcache", SubPath: "_tool"})
	got, err := Of(pod)
	if err != nil || got.WorkMount != "/home/runner/_work" {
		t.Errorf("mount = %q, %v", got.WorkMount, err)
	}
}

// TestAPartOfAClaimIsMisconfigured: it is the operator's to mend, and a step says so.
func TestAPartOfAClaimIsMisconfigured(t *testing.T) {
	pod := runnerPod()
	pod.Namespace = "ci"
	workMounts(pod)[1].SubPathExpr = "$(POD_NAME)"
	reader := &Reader{Pods: podrun.Client{Kube: kubetest.New(pod), Namespace: "ci"}, PodName: pod.Name}
	if _, err := reader.Read(t.Context()); failure.Of(err) != failure.Misconfigured {
		t.Errorf("reason = %q: %v", failure.Of(err), err)
	}
}

func TestOfNamedClaim(t *testing.T) {
	pod := runnerPod()
	pod.Spec.Volumes[0].VolumeSource = corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "shared"}}
	got, err := Of(pod)
	if err != nil || got.Claim != "shared" {
		t.Errorf("claim = %q, %v", got.Claim, err)
	}
}

// TestSelfCannotBeRead wants an operator to learn where to look.
func TestSelfCannotBeRead(t *testing.T) {
	kube := kubetest.New()
	kube.PrependReactor("get", "pods", func(k8stesting.Action) (bool, runtime.Object, error) {
		return true, nil, syscall.ECONNREFUSED
	})
	reader := &Reader{Pods: podrun.Client{Kube: kube, Namespace: "ci"}, PodName: "runner"}
	_, err := reader.Read(t.Context())
	if reason := failure.Of(err); reason != failure.ClusterUnreachable {
		t.Errorf("reason = %q", reason)
	}
	const want = "read the runner pod: get pods ci/runner: connection refused; look at the API server and at the network to it"
	if err == nil || err.Error() != want {
		t.Errorf("error = %v, want %s", err, want)
	}
}
