package kaniko

import corev1 "k8s.io/api/core/v1"

// Values of Build.Rights: what the processes of a RUN may do.
const (
	// RightsDocker is what Docker gives a RUN, as far as Pod Security
	// "baseline" allows it: without NET_RAW. Setuid programs work.
	RightsDocker = "docker"
	// RightsMinimal is what unpacking a base, COPY, USER and a package manager
	// need, and no way to more: a RUN cannot use setuid programs, chroot or
	// device nodes.
	RightsMinimal = "minimal"
)

// rights is the security context of the kaniko container; anything but
// RightsDocker is RightsMinimal.
func rights(of string) *corev1.SecurityContext {
	// Without FSETID setgid bits are lost in silence.
	add := []corev1.Capability{"CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETFCAP", "SETGID", "SETUID"}
	if of == RightsDocker {
		// The list of https://kubernetes.io/docs/concepts/security/pod-security-standards/.
		add = []corev1.Capability{
			"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD",
			"NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
		}
	}
	return &corev1.SecurityContext{
		RunAsUser:                new(int64(0)),
		AllowPrivilegeEscalation: new(of == RightsDocker),
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}, Add: add},
	}
}
