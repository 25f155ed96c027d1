package kaniko

import (
	corev1 "k8s.io/api/core/v1"
)

// gateFile is a file that the gate alone has: one key of a Secret or a
// ConfigMap. An object that does not exist means no file: the gate's answer
// says so at once, while a missing mount would keep the pod waiting.
type gateFile struct {
	flag   string // of kilnd gate
	volume string
	key    string
	source func(items []corev1.KeyToPath) corev1.VolumeSource
}

// gateFiles returns the files that b's settings name.
func gateFiles(b Build) []gateFile {
	var files []gateFile
	if b.SecretName != "" {
		files = append(files, gateFile{"docker-config", "registry", corev1.DockerConfigJsonKey, secret(b.SecretName)})
	}
	if b.PullSecretName != "" {
		files = append(files, gateFile{"pull-docker-config", "pull", corev1.DockerConfigJsonKey, secret(b.PullSecretName)})
	}
	if b.CAConfigMap != "" {
		files = append(files, gateFile{"ca-file", "ca", "ca.crt", configMap(b.CAConfigMap)})
	}
	return files
}

func secret(name string) func([]corev1.KeyToPath) corev1.VolumeSource {
	return func(items []corev1.KeyToPath) corev1.VolumeSource {
		return corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
			SecretName: name, Optional: new(true), DefaultMode: new(int32(0o444)), Items: items,
		}}
	}
}

func configMap(name string) func([]corev1.KeyToPath) corev1.VolumeSource {
	return func(items []corev1.KeyToPath) corev1.VolumeSource {
		return corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: name},
			Optional:             new(true), DefaultMode: new(int32(0o444)), Items: items,
		}}
	}
}

func (f gateFile) dir() string { return "/var/run/kiln-" + f.volume }

func (f gateFile) path() string { return f.dir() + "/" + f.key }

func (f gateFile) mount() corev1.VolumeMount {
	return corev1.VolumeMount{Name: f.volume, MountPath: f.dir(), ReadOnly: true}
}

// volumes returns the volumes of the gate's files.
func volumes(b Build) []corev1.Volume {
	var all []corev1.Volume
	for _, file := range gateFiles(b) {
		all = append(all, corev1.Volume{
			Name:         file.volume,
			VolumeSource: file.source([]corev1.KeyToPath{{Key: file.key, Path: file.key}}),
		})
	}
	return all
}
