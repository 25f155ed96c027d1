package kaniko

import (
	"cmp"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/executor"
)

// The gate's share of the build pod.
const (
	gateMemory   = "64Mi"
	gateGoMemory = "48MiB"
	gateUser     = 65532
)

// Pod returns the build pod. The error is about settings that Kubernetes
// would refuse.
func Pod(b Build) (*corev1.Pod, error) {
	args, err := executorArgs(b)
	if err != nil {
		return nil, err
	}
	limits, err := executorLimits(b)
	if err != nil {
		return nil, err
	}
	var hostUsers *bool
	if b.OwnUsers {
		hostUsers = new(false)
	}
	pod := &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			Name:            b.Name,
			Namespace:       b.Namespace,
			Labels:          b.Labels,
			OwnerReferences: b.OwnerReferences,
		},
		Spec: corev1.PodSpec{
			RestartPolicy:                 corev1.RestartPolicyNever,
			ActiveDeadlineSeconds:         new(int64(b.Deadline.Seconds())),
			TerminationGracePeriodSeconds: new(int64(1)),
			AutomountServiceAccountToken:  new(false),
			EnableServiceLinks:            new(false),
			HostUsers:                     hostUsers,
			SecurityContext: &corev1.PodSecurityContext{
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Tolerations:      b.Tolerations,
			ImagePullSecrets: b.ImagePullSecrets,
			NodeSelector:     map[string]string{corev1.LabelArchStable: b.Arch},
			Containers:       []corev1.Container{gate(b), builder(b, args, limits)}, // in this order: initHook
			Volumes:          append([]corev1.Volume{initEmptyVolume()}, volumes(b)...),
		},
	}
	addIdentity(pod, b)
	return pod, nil
}

// executorLimits returns the limits of the kaniko container.
func executorLimits(b Build) (corev1.ResourceList, error) {
	memory, err := resource.ParseQuantity(b.Memory)
	if err != nil {
		return nil, fmt.Errorf("memory limit of the build %q: %w", b.Memory, err)
	}
	storage, err := resource.ParseQuantity(b.EphemeralStorage)
	if err != nil {
		return nil, fmt.Errorf("storage limit of the build %q: %w", b.EphemeralStorage, err)
	}
	return corev1.ResourceList{corev1.ResourceMemory: memory, corev1.ResourceEphemeralStorage: storage}, nil
}

// builder returns the kaniko container. Its one volume is its own first
// process: the executor leaves every mounted path out of the image.
func builder(b Build, args []string, limits corev1.ResourceList) corev1.Container {
	return corev1.Container{
		Name:         ContainerKaniko,
		Image:        b.KanikoImage,
		Command:      initCommand(cmp.Or(b.Executor, executor.DefaultPath)),
		Args:         args,
		Env:          append(switches(b.Flavor), b.Proxy.withoutCredentials().environment()...), // for ADD
		Stdin:        true,
		StdinOnce:    true,
		VolumeMounts: []corev1.VolumeMount{initMount()},
		Resources: corev1.ResourceRequirements{
			Requests: executorRequests(limits),
			Limits:   limits,
		},
		SecurityContext: rights(b.Rights),
	}
}

// executorRequests are what a small build needs, and not more than the limits,
// which the API server would refuse. A request that is left out would be the
// whole limit.
func executorRequests(limits corev1.ResourceList) corev1.ResourceList {
	requests := corev1.ResourceList{
		corev1.ResourceCPU:              resource.MustParse("100m"),
		corev1.ResourceMemory:           resource.MustParse("128Mi"),
		corev1.ResourceEphemeralStorage: resource.MustParse("256Mi"),
	}
	for name, limit := range limits {
		if request, ok := requests[name]; ok && request.Cmp(limit) > 0 {
			requests[name] = limit
		}
	}
	return requests
}

// gate returns the gate container, which alone has the credentials.
func gate(b Build) corev1.Container {
	c := corev1.Container{
		Name:            ContainerGate,
		Image:           b.GateImage,
		ImagePullPolicy: b.GatePullPolicy,
		Command:         []string{"/kilnd"},
		Args:            gateArgs(b),
		Env:             append([]corev1.EnvVar{{Name: "GOMEMLIMIT", Value: gateGoMemory}}, b.Proxy.environment()...),
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{
				corev1.ResourceCPU:    resource.MustParse("10m"),
				corev1.ResourceMemory: resource.MustParse("16Mi"),
			},
			Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(gateMemory)},
		},
		SecurityContext: &corev1.SecurityContext{
			RunAsNonRoot:             new(true),
			RunAsUser:                new(int64(gateUser)),
			RunAsGroup:               new(int64(gateUser)),
			AllowPrivilegeEscalation: new(false),
			ReadOnlyRootFilesystem:   new(true),
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
		Lifecycle:    initHook(),
		VolumeMounts: []corev1.VolumeMount{initGateMount()},
	}
	for _, file := range gateFiles(b) {
		c.VolumeMounts = append(c.VolumeMounts, file.mount())
	}
	return c
}
