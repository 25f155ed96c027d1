package doctor

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"kiln/internal/cloudlogin"
)

// cloudVariables are what the clouds' webhooks put into every container of a
// pod (eks-pod-identity-webhook, the EKS Pod Identity agent's, azure-workload-identity,
// and Google's credential configuration).
var cloudVariables = []string{
	"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
	"AZURE_FEDERATED_TOKEN_FILE", "GOOGLE_APPLICATION_CREDENTIALS",
}

// cloudReach says by what a container logs in to a cloud; empty for by nothing.
// Tokens for the API server have no audience of their own.
func cloudReach(pod *corev1.Pod, c corev1.Container) string {
	for _, name := range cloudVariables {
		if _, set := variable(c, name); set {
			return "the variable " + name
		}
	}
	for _, mount := range c.VolumeMounts {
		if audience := projected(volume(pod, mount.Name)); audience != "" {
			return fmt.Sprintf("a token for %s at %s", audience, mount.MountPath)
		}
	}
	return ""
}

// projected returns the audience of a volume's token; empty for none, and for
// the API server's.
func projected(v corev1.Volume) string {
	if v.Projected == nil {
		return ""
	}
	for _, source := range v.Projected.Sources {
		if token := source.ServiceAccountToken; token != nil && token.Audience != "" {
			return token.Audience
		}
	}
	return ""
}

// foreignReach finds the containers but one that log in to a cloud.
func foreignReach(pod *corev1.Pod, but, mend string) []Finding {
	var findings []Finding
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		if by := cloudReach(pod, c); c.Name != but && by != "" {
			findings = append(findings, fail(fmt.Sprintf("the container %s can log in to the cloud by %s", c.Name, by), mend)...)
		}
	}
	return findings
}

// noWebhook is what to do about a webhook that gives every container a token.
const noWebhook = "take the annotation or the association of the cloud's webhook off the service account %s, and its label off the pods: it gives its token to every container (docs/registries.md, Without a password)"

// identityFindings looks at who has the token of KILN_IDENTITY in a runner pod.
func identityFindings(pod *corev1.Pod, id cloudlogin.Identity) []Finding {
	findings := foreignReach(pod, containerKiln, fmt.Sprintf(noWebhook, pod.Spec.ServiceAccountName))
	kiln, _ := container(pod, containerKiln)
	mount, there := mounted(kiln, cloudlogin.TokenDir)
	switch audience := projected(volume(pod, mount.Name)); {
	case !there || strings.TrimSuffix(mount.MountPath, "/") != cloudlogin.TokenDir || audience == "":
		findings = append(findings, fail("KILN_IDENTITY is "+id.Cloud+", and the container kiln has no token for it at "+cloudlogin.TokenDir, overlayAgain)...)
	case audience != id.Audience():
		findings = append(findings, fail(fmt.Sprintf("the token for %s at %s is for %s", id.Cloud, cloudlogin.TokenDir, audience),
			"write the audience "+id.Audience()+", as the overlay does")...)
	}
	return findings
}
