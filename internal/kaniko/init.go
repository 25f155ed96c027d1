package kaniko

import corev1 "k8s.io/api/core/v1"

// Where the two containers have the executor's first process, package
// buildinit. Below /kaniko nothing gets into an image: elsewhere the executor
// would leave the mounted path out of it.
const (
	initVolume  = "init"
	initDir     = "/kaniko/kiln"
	initGateDir = "/var/run/kiln-init"
	initName    = "init"
	initProgram = "/kiln-init" // in kiln's image
)

// initEmptyVolume is what the first process travels by. The gate alone writes
// it and never reads it; the executor's mount is for reading, and no capability
// of a RUN changes that.
func initEmptyVolume() corev1.Volume {
	return corev1.Volume{Name: initVolume, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}
}

// initCommand starts the executor below its first process, once the gate listens: the
// context may come before anybody has heard of that.
func initCommand(executor string) []string {
	return []string{initDir + "/" + initName, "--await", gateAddress, executor}
}

// initMount is the executor's.
func initMount() corev1.VolumeMount {
	return corev1.VolumeMount{Name: initVolume, MountPath: initDir, ReadOnly: true}
}

// initGateMount is the gate's.
func initGateMount() corev1.VolumeMount {
	return corev1.VolumeMount{Name: initVolume, MountPath: initGateDir}
}

// initHook has the gate's container hand the first process over. The kubelet
// starts containers in the order of the specification and runs this hook before
// it starts the next one (kuberuntime_container.go, startContainer).
func initHook() *corev1.Lifecycle {
	return &corev1.Lifecycle{PostStart: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{
		Command: []string{initProgram, "--install", initGateDir + "/" + initName},
	}}}
}
