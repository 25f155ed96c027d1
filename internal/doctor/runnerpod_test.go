package doctor

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"kiln/internal/scaleset"
)

// looks are the checks of a runner pod's specification.
func looks() map[string]func(*corev1.Pod) []Finding {
	return map[string]func(*corev1.Pod) []Finding{
		"arc": arcFindings, "overlay": overlayFindings, "hook": hookFindings, "work-volume": workFindings, "delegate": delegateFindings, "job-started": jobStartedFindings,
		"exchange": func(pod *corev1.Pod) []Finding { return exchangeFindings(pod, "/var/run/kiln") },
		"state":    func(pod *corev1.Pod) []Finding { return stateFindings(pod, "/var/lib/kiln") },
	}
}

func TestOverlayIsSound(t *testing.T) {
	for _, mode := range []string{scaleset.Sealed, scaleset.Kubernetes} {
		for name, look := range looks() {
			if findings := look(overlaid(t, mode)); worst(findings) != OK {
				t.Errorf("%s, %s: %+v", mode, name, findings)
			}
		}
	}
}

// podFault changes a sound pod, and says what a check has to make of it.
type podFault struct {
	check      string
	change     func(*corev1.Pod)
	status     Status
	seen, mend string
}

func setEnv(pod *corev1.Pod, name, value string) {
	c := inPod(pod, containerRunner)
	c.Env = slices.DeleteFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == name })
	if value != "" {
		c.Env = append(c.Env, corev1.EnvVar{Name: name, Value: value})
	}
}

func unmount(pod *corev1.Pod, container, volume string) {
	c := inPod(pod, container)
	c.VolumeMounts = slices.DeleteFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == volume })
}

func remount(pod *corev1.Pod, container, volume string, change func(*corev1.VolumeMount)) {
	c := inPod(pod, container)
	for i := range c.VolumeMounts {
		if c.VolumeMounts[i].Name == volume {
			change(&c.VolumeMounts[i])
		}
	}
}

func podFaults() map[string]podFault {
	const hooks = "ACTIONS_RUNNER_CONTAINER_HOOKS"
	return map[string]podFault{
		"no restartPolicy": {"overlay", func(p *corev1.Pod) { inPod(p, containerKiln).RestartPolicy = nil }, Fail, "no native sidecar", "apply the overlay"},
		"other arguments":  {"overlay", func(p *corev1.Pod) { inPod(p, containerKiln).Args = []string{"gate"} }, Fail, `["gate"]`, "args: [run, --install=/opt/kiln]"},
		"no installer":     {"overlay", func(p *corev1.Pod) { inPod(p, containerKiln).Args = []string{"run"} }, Fail, "brings no hook", "apply the overlay"},
		"nothing waits":    {"overlay", func(p *corev1.Pod) { inPod(p, containerKiln).Lifecycle = nil }, Warn, "no postStart hook and no start-up probe", "apply the overlay"},
		"liveness":         {"overlay", func(p *corev1.Pod) { inPod(p, containerKiln).LivenessProbe = &corev1.Probe{} }, Warn, "liveness", "remove livenessProbe"},
		"no token":         {"overlay", func(p *corev1.Pod) { unmount(p, containerKiln, "kiln-token") }, Fail, "no cluster token", tokenDir},
		"token for all": {"overlay", func(p *corev1.Pod) {
			c := inPod(p, containerRunner)
			c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "t", MountPath: tokenDir})
		}, Warn, "sealed mode, and the runner container has a cluster token", "automountServiceAccountToken: false"},

		"no hook":       {"hook", func(p *corev1.Pod) { setEnv(p, hooks, "") }, Fail, hooks + " is not set", "set it to /opt/kiln/hook.sh"},
		"stock hook":    {"hook", func(p *corev1.Pod) { setEnv(p, hooks, "/home/runner/k8s/index.js") }, Fail, "another hook", "set it to /opt/kiln/hook.sh"},
		"no bin volume": {"hook", func(p *corev1.Pod) { unmount(p, containerRunner, "kiln-bin") }, Fail, "does not mount the volume", "apply the overlay"},
		"novolume":      {"hook", func(p *corev1.Pod) { setEnv(p, "KILN_DELEGATE", "/home/runner/k8s-novolume/index.js") }, Fail, "kubernetes-novolume", "sealed mode"},
		"no runner":     {"hook", func(p *corev1.Pod) { inPod(p, containerRunner).Name = "job" }, Fail, "no container called runner", "name"},
		"bin elsewhere": {"hook", func(p *corev1.Pod) {
			remount(p, containerRunner, "kiln-bin", func(m *corev1.VolumeMount) { m.MountPath = "/k" })
		}, Fail, "another hook", "set it to /k/hook.sh"},
		"misplaced":     {"hook", func(p *corev1.Pod) { setEnv(p, hooks+"_K8S_REGISTRY_HOST", "ghcr.io/x") }, Warn, "no effect", "the kiln container"},
		"handle":        {"hook", func(p *corev1.Pod) { setEnv(p, "KILN_HANDLE", "some") }, Fail, `KILN_HANDLE is "some"`, "dockerfile, all or job"},
		"externals":     {"hook", func(p *corev1.Pod) { setEnv(p, "KILN_EXTERNALS", "some") }, Fail, `KILN_EXTERNALS is "some"`, "lazy or all"},
		"grace":         {"hook", func(p *corev1.Pod) { setEnv(p, "KILN_DAEMON_GRACE", "soon") }, Fail, `KILN_DAEMON_GRACE is "soon"`, "a duration such as 60s"},
		"misspelt":      {"hook", func(p *corev1.Pod) { setEnv(p, "KILN_DELEGATES", "/x.js") }, Warn, "KILN_DELEGATES is set on the runner container", "README"},
		"other start":   {"job-started", func(p *corev1.Pod) { setEnv(p, "ACTIONS_RUNNER_HOOK_JOB_STARTED", "/x/own.sh") }, Warn, `is "/x/own.sh"`, "set it to /opt/kiln/job-started.sh and name your own script in KILN_JOB_STARTED"},
		"work emptyDir": {"work-volume", func(p *corev1.Pod) { volumeOf(p, "work").Ephemeral = nil }, Fail, "not a persistent volume claim", "called work"},
		"work subPath": {"work-volume", func(p *corev1.Pod) {
			remount(p, containerRunner, "work", func(m *corev1.VolumeMount) { m.SubPathExpr = "$(POD_NAME)" })
		}, Fail, "mounts a part of the volume", "the whole of"},
		"no work":        {"work-volume", func(p *corev1.Pod) { unmount(p, containerRunner, "work") }, Fail, `mounts no volume "work"`, "called work"},
		"old ARC":        {"arc", func(p *corev1.Pod) { p.Labels["app.kubernetes.io/version"] = "0.11.0" }, Fail, "is 0.11.0", "0.12"},
		"no ARC":         {"arc", func(p *corev1.Pod) { delete(p.Labels, "actions.github.com/scale-set-name") }, Skip, "no labels", ""},
		"relative":       {"delegate", func(p *corev1.Pod) { setEnv(p, envDelegate, "k8s/index.js") }, Fail, "k8s/index.js", "absolute path"},
		"no hook's name": {"delegate", func(p *corev1.Pod) { setEnv(p, envDelegate, "/bin/hook") }, Fail, ".js and .sh", "stock hook"},

		"exchange of one":  {"exchange", func(p *corev1.Pod) { unmount(p, containerRunner, "kiln-exchange") }, Fail, "the runner container mounts no volume at the exchange", "apply"},
		"exchange of kiln": {"exchange", func(p *corev1.Pod) { unmount(p, containerKiln, "kiln-exchange") }, Fail, "the container kiln mounts no volume at the exchange", "apply"},
		"two exchanges": {"exchange", func(p *corev1.Pod) {
			remount(p, containerRunner, "kiln-exchange", func(m *corev1.VolumeMount) { m.Name = "work" })
		}, Fail, "not shared", "one emptyDir"},
		"two parts": {"exchange", func(p *corev1.Pod) {
			remount(p, containerRunner, "kiln-exchange", func(m *corev1.VolumeMount) { m.SubPath = "a" })
		}, Fail, "not shared", "one emptyDir"},
		"other path": {"exchange", func(p *corev1.Pod) { setEnv(p, "KILN_EXCHANGE", "/x") }, Fail, "at the exchange /x", "apply"},
		"read-only": {"exchange", func(p *corev1.Pod) {
			remount(p, containerRunner, "kiln-exchange", func(m *corev1.VolumeMount) { m.ReadOnly = true })
		}, Fail, "read-only", "remove readOnly"},
		"exchange limited":  {"exchange", func(p *corev1.Pod) { volumeOf(p, "kiln-exchange").EmptyDir.SizeLimit = new(resource.MustParse("1Gi")) }, Warn, "sizeLimit", "emptyDir: {}"},
		"exchange in tmpfs": {"exchange", func(p *corev1.Pod) { volumeOf(p, "kiln-exchange").EmptyDir.Medium = corev1.StorageMediumMemory }, Warn, "in memory", "emptyDir: {}"},
		"no state":          {"state", func(p *corev1.Pod) { unmount(p, containerKiln, "kiln-state") }, Fail, "no volume for the daemon's state", "apply"},
		"state for all": {"state", func(p *corev1.Pod) {
			remount(p, containerRunner, "kiln-exchange", func(m *corev1.VolumeMount) { m.Name = "kiln-state" })
		}, Fail, "the container runner mounts the daemon's state", "alone"},
	}
}

func volumeOf(pod *corev1.Pod, name string) *corev1.Volume {
	for i := range pod.Spec.Volumes {
		if pod.Spec.Volumes[i].Name == name {
			return &pod.Spec.Volumes[i]
		}
	}
	panic("no volume " + name)
}

func TestPodFaults(t *testing.T) {
	for name, fault := range podFaults() {
		t.Run(name, func(t *testing.T) {
			pod := overlaid(t, scaleset.Sealed)
			fault.change(pod)
			wantFinding(t, looks()[fault.check](pod), fault.status, fault.seen, fault.mend)
		})
	}
}

func TestSeveralPods(t *testing.T) {
	pods := []corev1.Pod{*overlaid(t, scaleset.Sealed), *overlaid(t, scaleset.Sealed), *overlaid(t, scaleset.Sealed)}
	for i, name := range []string{"a", "b", "c"} {
		pods[i].Name = name
	}
	setEnv(&pods[0], "ACTIONS_RUNNER_CONTAINER_HOOKS", "")
	setEnv(&pods[2], "ACTIONS_RUNNER_CONTAINER_HOOKS", "")
	findings := perPod(pods, hookFindings)
	if len(findings) != 1 || !strings.HasPrefix(findings[0].Seen, "pod a, c: ACTIONS_RUNNER_CONTAINER_HOOKS is not set") {
		t.Errorf("findings = %+v", findings)
	}
}
