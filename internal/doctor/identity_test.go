package doctor

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"kiln/internal/cloudlogin"
	"kiln/internal/scaleset"
)

// identityPod is a runner pod with the token of ECR, as the overlay makes it.
func identityPod(t *testing.T) *corev1.Pod {
	t.Helper()
	pod := overlaid(t, scaleset.Sealed)
	pod.Spec.Volumes = append(pod.Spec.Volumes, tokenVolume("sts.amazonaws.com"))
	kiln := inPod(pod, containerKiln)
	kiln.VolumeMounts = append(kiln.VolumeMounts, corev1.VolumeMount{Name: "kiln-identity", MountPath: cloudlogin.TokenDir})
	return pod
}

func tokenVolume(audience string) corev1.Volume {
	return corev1.Volume{Name: "kiln-identity", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: audience, Path: "token"}}},
	}}}
}

func TestIdentityFindings(t *testing.T) {
	id := cloudlogin.Identity{Cloud: cloudlogin.AWS}
	if findings := identityFindings(identityPod(t), id); len(findings) != 0 {
		t.Errorf("a sound pod: %+v", findings)
	}
	for name, tc := range map[string]struct {
		change     func(*corev1.Pod)
		seen, mend string
	}{
		"the overlay of before": {
			func(pod *corev1.Pod) { unmount(pod, containerKiln, "kiln-identity") },
			"the container kiln has no token for it at /var/run/kiln-identity", "apply the overlay anew",
		},
		"another cloud's": {
			func(pod *corev1.Pod) {
				pod.Spec.Volumes[len(pod.Spec.Volumes)-1] = tokenVolume("api://AzureADTokenExchange")
			},
			"is for api://AzureADTokenExchange", "write the audience sts.amazonaws.com",
		},
		"the runner has it too": {func(pod *corev1.Pod) {
			runner := inPod(pod, containerRunner)
			runner.VolumeMounts = append(runner.VolumeMounts, corev1.VolumeMount{Name: "kiln-identity", MountPath: "/x"})
		}, "the container runner can log in to the cloud by a token for sts.amazonaws.com at /x", "service account kiln"},
		"a webhook of EKS": {
			func(pod *corev1.Pod) { setEnv(pod, "AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/x") },
			"the container runner can log in to the cloud by the variable AWS_WEB_IDENTITY_TOKEN_FILE", "service account kiln",
		},
		"a webhook of Azure": {func(pod *corev1.Pod) {
			runner := inPod(pod, containerRunner)
			runner.Env = append(runner.Env, corev1.EnvVar{Name: "AZURE_FEDERATED_TOKEN_FILE", Value: "/x"})
		}, "the container runner can log in", "service account kiln"},
	} {
		t.Run(name, func(t *testing.T) {
			pod := identityPod(t)
			tc.change(pod)
			wantFinding(t, identityFindings(pod, id), Fail, tc.seen, tc.mend)
		})
	}
}

func TestForeignReachOfBuilds(t *testing.T) {
	pod := &corev1.Pod{Spec: corev1.PodSpec{
		Volumes:    []corev1.Volume{tokenVolume("sts.amazonaws.com")},
		Containers: []corev1.Container{{Name: "kaniko"}, {Name: "gate", VolumeMounts: []corev1.VolumeMount{{Name: "kiln-identity", MountPath: "/x"}}}},
	}}
	if findings := foreignReach(pod, "gate", "m"); len(findings) != 0 {
		t.Errorf("the gate alone: %+v", findings)
	}
	pod.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "AWS_CONTAINER_CREDENTIALS_FULL_URI", Value: "http://169.254.170.23/v1/credentials"}}
	wantFinding(t, foreignReach(pod, "gate", "take it off"), Fail, "the container kaniko can log in to the cloud by the variable AWS_CONTAINER_CREDENTIALS_FULL_URI", "take it off")
}
