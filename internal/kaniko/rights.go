package kaniko

import (
	corev1 "k8s.io/api/core/v1"

	"kiln/internal/executor"
)

// rights is the security context of the kaniko container; anything but
// [executor.RightsDocker] is [executor.RightsMinimal].
func rights(of string) *corev1.SecurityContext {
	// Without FSETID setgid bits are lost in silence.
	add := []corev1.Capability{"CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETFCAP", "SETGID", "SETUID"}
	if of == executor.RightsDocker {
		// The list of https://kubernetes.io/docs/concepts/security/pod-security-standards/.
		add = []corev1.Capability{
			"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD",
			"NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
		}
	}
	return &corev1.SecurityContext{
		RunAsUser:                new(int64(0)),
		AllowPrivilegeEscalation: new(of == executor.RightsDocker),
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}, Add: add},
	}
}
