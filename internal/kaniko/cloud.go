package kaniko

import (
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"kiln/internal/cloudlogin"
)

// identityVolume is the projected token of a build with an identity.
const identityVolume = "identity"

// identityMemory is the gate's limit where it starts the program that logs in
// to a cloud beside it.
const identityMemory = "128Mi"

// addIdentity gives the gate a token of the pod's service account that only
// the cloud takes. No other container of the pod has it, and there is no token
// for the API server.
func addIdentity(pod *corev1.Pod, b Build) {
	if !b.Identity.Set() {
		return
	}
	spec := &pod.Spec
	spec.ServiceAccountName = b.ServiceAccount
	spec.Volumes = append(spec.Volumes, corev1.Volume{
		Name: identityVolume,
		VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			DefaultMode: new(int32(0o444)),
			Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
				Audience: b.Identity.Audience(), ExpirationSeconds: new(int64(cloudlogin.TokenSeconds)), Path: cloudlogin.TokenKey,
			}}},
		}},
	})
	for i := range spec.Containers {
		if c := &spec.Containers[i]; c.Name == ContainerGate {
			c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: identityVolume, MountPath: cloudlogin.TokenDir, ReadOnly: true})
			c.Resources.Limits[corev1.ResourceMemory] = resource.MustParse(identityMemory)
		}
	}
}

// identityArgs tells the gate who it is; nothing of it is secret.
func identityArgs(b Build) []string {
	if !b.Identity.Set() {
		return nil
	}
	id := b.Identity
	id.TokenFile, id.CAFile = cloudlogin.TokenDir+"/"+cloudlogin.TokenKey, ""
	for _, file := range gateFiles(b) {
		if file.flag == "ca-file" {
			id.CAFile = file.path()
		}
	}
	text, err := json.Marshal(id)
	if err != nil {
		return nil // a struct of strings
	}
	return []string{"--identity=" + string(text)}
}
