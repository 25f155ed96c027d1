package action

import (
	"maps"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/hook"
)

// Seconds that a Job has.
const (
	keepSeconds  = 300 // until the cluster removes a Job that nobody removed
	graceSeconds = 5   // between SIGTERM and SIGKILL
)

// Job returns the Job of a step. The error is about mounts that the pod
// cannot have, and about arguments that no program can.
func Job(s Step) (*batchv1.Job, error) {
	mounts, err := mounts(s)
	if err != nil {
		return nil, err
	}
	arguments := hook.SplitArgs(s.Container.EntryPointArgs)
	if err := checkArguments(arguments); err != nil {
		return nil, err
	}
	return &batchv1.Job{
		TypeMeta:   metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"},
		ObjectMeta: s.meta(s.Name),
		Spec: batchv1.JobSpec{
			BackoffLimit:            new(int32(0)),
			TTLSecondsAfterFinished: new(int32(keepSeconds)),
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: maps.Clone(s.Labels)},
				Spec:       podSpec(s, mounts, arguments),
			},
		},
	}, nil
}

// podSpec returns the pod around the action's container. It passes Pod Security's
// baseline level. Images run as the user they name, root included, and may gain
// privileges by setuid programs such as sudo, as with Docker.
func podSpec(s Step, mounts []corev1.VolumeMount, arguments []string) corev1.PodSpec {
	return corev1.PodSpec{
		RestartPolicy:                 corev1.RestartPolicyNever,
		TerminationGracePeriodSeconds: new(int64(graceSeconds)),
		AutomountServiceAccountToken:  new(false),
		EnableServiceLinks:            new(false),
		SecurityContext: &corev1.PodSecurityContext{
			SeccompProfile:      &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			SELinuxOptions:      s.SELinux.DeepCopy(),
			SELinuxChangePolicy: s.SELinuxChange,
		},
		ImagePullSecrets: slices.Clone(s.ImagePullSecrets),
		Tolerations:      slices.Clone(s.Tolerations),
		NodeSelector:     nodeSelector(s.Arch),
		Affinity:         sameNode(s.NodeName),
		Containers:       []corev1.Container{container(s, mounts, arguments)},
		Volumes: []corev1.Volume{{
			Name: volumeWork,
			VolumeSource: corev1.VolumeSource{
				PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: s.Claim},
			},
		}},
	}
}

// container returns the action's container. Command and arguments stay unset
// unless the action names them: an empty list would wipe the image's CMD.
func container(s Step, mounts []corev1.VolumeMount, arguments []string) corev1.Container {
	c := corev1.Container{
		Name:         ContainerName,
		Image:        s.Image,
		WorkingDir:   s.Container.WorkingDirectory,
		Env:          environment(s),
		VolumeMounts: mounts,
	}
	if entryPoint := s.Container.EntryPoint; entryPoint != "" {
		c.Command = []string{literal(entryPoint)}
	}
	for _, argument := range arguments {
		c.Args = append(c.Args, literal(argument))
	}
	return c
}

// literal keeps the kubelet from expanding $(NAME) in text, which Docker does
// not do: "$$" stands for one "$" (Kubernetes docs, "Define dependent
// environment variables").
func literal(text string) string { return strings.ReplaceAll(text, "$", "$$") }

// nodeSelector requires nodes that can run the image.
func nodeSelector(arch string) map[string]string {
	if arch == "" {
		return nil
	}
	return map[string]string{corev1.LabelArchStable: arch}
}

// sameNode requires the node by name and not by its host name label, which
// differs from it on some clouds. A ReadWriteOnce work volume can be mounted
// nowhere else.
func sameNode(name string) *corev1.Affinity {
	if name == "" {
		return nil
	}
	return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchFields: []corev1.NodeSelectorRequirement{{
					Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: []string{name},
				}},
			}},
		},
	}}
}
