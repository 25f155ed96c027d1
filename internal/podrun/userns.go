package podrun

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/version"
)

// Since when pods of the stable API have user namespaces everywhere: from this
// release on a kubelet takes no container runtime that cannot make them
// (containerd 2, https://kep.k8s.io/4033), and from this kernel on all of a
// pod's volumes can be mapped (Kubernetes docs, "Use a User Namespace With a
// Pod").
const (
	usersCluster = "1.36.0"
	usersKernel  = "6.3.0"
)

// UserNamespaces reports whether a cluster whose API server has the given
// release ("v1.36.2"), and a node with the given kernel ("6.8.0-45-generic"),
// are new enough for pods in user namespaces of their own. Other nodes may be
// older: [UserNamespaceRefused] tells.
func UserNamespaces(server, kernel string) bool {
	return atLeast(server, usersCluster) && atLeast(kernel, usersKernel)
}

// numbers begins a release.
var numbers = regexp.MustCompile(`^v?(\d+)\.(\d+)`)

func atLeast(release, least string) bool {
	found := numbers.FindStringSubmatch(release)
	if found == nil {
		return false
	}
	major, _ := strconv.Atoi(found[1])
	minor, _ := strconv.Atoi(found[2])
	want := version.MustParseSemantic(least)
	return version.MajorMinor(uint(max(major, 0)), uint(max(minor, 0))).AtLeast(version.MajorMinor(want.Major(), want.Minor())) //nolint:gosec // not negative
}

// usersWords are in what a node says that cannot make a pod's user namespace:
// the kubelet (pkg/kubelet/userns/userns_manager.go), containerd
// (internal/cri/server/podsandbox), runc.
var usersWords = []string{"user namespace", "userns", "hostusers", "idmap", "id-map"}

// UserNamespaceRefused returns what the node says why it cannot set the pod up
// in a user namespace, by the pod's events, or "".
func UserNamespaceRefused(events []corev1.Event) string {
	for i := range events {
		if events[i].Reason != "FailedCreatePodSandBox" {
			continue
		}
		message := strings.ToLower(events[i].Message)
		for _, word := range usersWords {
			if strings.Contains(message, word) {
				return sentence("the node cannot set up the pod", events[i].Message)
			}
		}
	}
	return ""
}

// ServerVersion is the release of the API server, as in v1.33.1.
func (c Client) ServerVersion() (string, error) {
	release, err := c.Kube.ServerVersion()
	if err != nil {
		return "", fmt.Errorf("ask the API server for its release: %w", err)
	}
	return release, nil
}
