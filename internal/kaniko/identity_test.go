package kaniko_test

import (
	"regexp"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/kaniko"
)

// TestSame changes one thing at a time of a pod that the API server has stored:
// what a foreign pod could do differently, and what differs between runners.
func TestSame(t *testing.T) {
	ours, err := kaniko.Pod(fullBuild())
	if err != nil {
		t.Fatal(err)
	}
	name, err := kaniko.Name(ours)
	if err != nil || !regexp.MustCompile(`^kiln-build-[a-z2-7]{32}$`).MatchString(name) {
		t.Fatalf("Name = %q, %v", name, err)
	}
	for what, change := range map[string]func(*corev1.Pod){
		"image":                  func(p *corev1.Pod) { p.Spec.Containers[1].Image = "evil" },
		"gate's image":           func(p *corev1.Pod) { p.Spec.Containers[0].Image = "evil" },
		"argument":               func(p *corev1.Pod) { p.Spec.Containers[1].Args[2] += "x" },
		"command":                func(p *corev1.Pod) { p.Spec.Containers[1].Command = []string{"sh"} },
		"variable":               func(p *corev1.Pod) { p.Spec.Containers[0].Env[0].Value = "" },
		"variables from afar":    func(p *corev1.Pod) { p.Spec.Containers[1].EnvFrom = []corev1.EnvFromSource{{Prefix: "x"}} },
		"mount":                  func(p *corev1.Pod) { p.Spec.Containers[1].VolumeMounts = p.Spec.Containers[0].VolumeMounts },
		"hook":                   func(p *corev1.Pod) { p.Spec.Containers[1].Lifecycle = &corev1.Lifecycle{} },
		"capability":             func(p *corev1.Pod) { p.Spec.Containers[1].SecurityContext.Capabilities.Drop = nil },
		"privilege":              func(p *corev1.Pod) { p.Spec.Containers[1].SecurityContext.Privileged = new(true) },
		"user":                   func(p *corev1.Pod) { p.Spec.Containers[0].SecurityContext.RunAsUser = new(int64(0)) },
		"no stdin":               func(p *corev1.Pod) { p.Spec.Containers[1].StdinOnce = false },
		"further container":      func(p *corev1.Pod) { p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "x"}) },
		"missing container":      func(p *corev1.Pod) { p.Spec.Containers = p.Spec.Containers[:1] },
		"init container":         func(p *corev1.Pod) { p.Spec.InitContainers = []corev1.Container{{Name: "x"}} },
		"debug container":        func(p *corev1.Pod) { p.Spec.EphemeralContainers = make([]corev1.EphemeralContainer, 1) },
		"volume":                 func(p *corev1.Pod) { p.Spec.Volumes[1].Secret.SecretName = "other" },
		"service account":        func(p *corev1.Pod) { p.Spec.ServiceAccountName = "admin" },
		"token":                  func(p *corev1.Pod) { p.Spec.AutomountServiceAccountToken = nil },
		"seccomp":                func(p *corev1.Pod) { p.Spec.SecurityContext = nil },
		"host network":           func(p *corev1.Pod) { p.Spec.HostNetwork = true },
		"host processes":         func(p *corev1.Pod) { p.Spec.HostPID = true },
		"shared processes":       func(p *corev1.Pod) { p.Spec.ShareProcessNamespace = new(true) },
		"runtime class":          func(p *corev1.Pod) { p.Spec.RuntimeClassName = new("runc") },
		"user namespace":         func(p *corev1.Pod) { p.Spec.HostUsers = new(false) },
		"host IPC":               func(p *corev1.Pod) { p.Spec.HostIPC = true },
		"block device":           func(p *corev1.Pod) { p.Spec.Containers[1].VolumeDevices = make([]corev1.VolumeDevice, 1) },
		"own restart policy":     func(p *corev1.Pod) { p.Spec.Containers[1].RestartPolicy = new(corev1.ContainerRestartPolicyNever) },
		"working directory":      func(p *corev1.Pod) { p.Spec.Containers[1].WorkingDir = "/tmp" },
		"containers in disguise": func(p *corev1.Pod) { p.Spec.Containers[1].Name, p.Spec.Containers[0].Name = "gate", "kaniko" },
	} {
		t.Run(what, func(t *testing.T) {
			theirs := ours.DeepCopy()
			change(theirs)
			if kaniko.Same(ours, theirs) {
				t.Error("the pods count as the same")
			}
			if other, err := kaniko.Name(theirs); err != nil || other == name {
				t.Errorf("name = %q, %v; want another than the first pod's", other, err)
			}
		})
	}
	theirs := ours.DeepCopy()
	theirs.Name, theirs.UID, theirs.ResourceVersion = name, "1", "7"
	theirs.Labels = map[string]string{"kiln.build/request": "other"}
	theirs.OwnerReferences = []metav1.OwnerReference{{Name: "other runner"}}
	theirs.Spec.NodeName, theirs.Spec.ServiceAccountName = "node", "default"
	theirs.Spec.Tolerations = []corev1.Toleration{{Key: "x"}}
	theirs.Spec.NodeSelector, theirs.Spec.HostUsers = nil, new(true)
	theirs.Spec.Containers[1].Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")}
	theirs.Spec.Containers[1].TerminationMessagePath = "/dev/termination-log"
	theirs.Spec.Containers[1].ImagePullPolicy = corev1.PullIfNotPresent
	if !kaniko.Same(ours, theirs) {
		t.Error("the pod of another runner counts as a foreign one")
	}
	if other, err := kaniko.Name(theirs); err != nil || other != name {
		t.Errorf("another runner names the same build %q, %v; want %q", other, err, name)
	}
}
