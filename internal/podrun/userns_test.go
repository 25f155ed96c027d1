package podrun

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestUserNamespaces(t *testing.T) {
	for name, tt := range map[string]struct {
		server, kernel string
		want           bool
	}{
		"new":               {"v1.36.0", "6.3.0", true},
		"newer":             {"v1.40.1-gke.100", "6.12.8-amd64", true},
		"two":               {"v2.0.0", "7.0", true},
		"an older cluster":  {"v1.35.4", "6.8.0-45-generic", false},
		"an older kernel":   {"v1.37.0", "5.15.0", false},
		"a kernel before":   {"v1.37.0", "6.2.16", false},
		"an unknown server": {"", "6.8.0", false},
		"an unknown kernel": {"v1.37.0", "linux", false},
	} {
		if got := UserNamespaces(tt.server, tt.kernel); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestUserNamespaceRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		reason, message string
		want            bool
	}{
		"the runtime":     {"FailedCreatePodSandBox", "Failed to create pod sandbox: can't set `spec.hostUsers: false`, runtime does not support user namespaces", true},
		"the kubelet":     {"FailedCreatePodSandBox", `Failed to create pod sandbox: the feature gate "UserNamespacesSupport" is disabled: can't set spec.HostUsers`, true},
		"the file system": {"FailedCreatePodSandBox", "failed to mount: overlayfs: idmapped mounts are not supported", true},
		"another reason":  {"FailedCreatePodSandBox", "network plugin is not ready", false},
		"another event":   {"FailedMount", "no user namespace", false},
	} {
		got := UserNamespaceRefused([]corev1.Event{{Reason: "Pulled"}, {Reason: tt.reason, Message: tt.message}})
		if (got != "") != tt.want || tt.want && !strings.HasPrefix(got, "the node cannot set up the pod: ") {
			t.Errorf("%s: %q", name, got)
		}
	}
}
