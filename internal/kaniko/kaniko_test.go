package kaniko_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"kiln/internal/cloudlogin"
	"kiln/internal/executor"
	"kiln/internal/golden"
	"kiln/internal/kaniko"
	"kiln/internal/registry"
)

func smallBuild() kaniko.Build {
	return kaniko.Build{
		Name:             "kiln-build-x",
		Namespace:        "ci",
		KanikoImage:      "registry.example.com/kaniko:v1",
		Flavor:           executor.Flavor{Name: executor.Chainguard, Version: "1.25.16"},
		Rights:           executor.RightsDocker,
		SnapshotMode:     executor.SnapshotFull,
		GateImage:        "registry.example.com/kiln:v1",
		OwnUsers:         true,
		Push:             "ghcr.io/acme/kiln/app:k1-0",
		Arch:             "amd64",
		Deadline:         30 * time.Minute,
		Memory:           "2Gi",
		EphemeralStorage: "10Gi",
	}
}

func fullBuild() kaniko.Build {
	b := smallBuild()
	b.Labels = map[string]string{"kiln.build/kind": "build"}
	b.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: "runner", UID: "u"}}
	b.Flavor = executor.Flavor{Name: executor.Osscontainertools}
	b.SnapshotMode = executor.SnapshotRedo
	b.Rights = executor.RightsMinimal
	b.OwnUsers = false
	b.GatePullPolicy = corev1.PullIfNotPresent
	b.Push = "kiln-registry:5000/ci/app:k1-0"
	b.Pulls = []string{"alpine:3.20@sha256:" + strings.Repeat("a", 64), "busybox", "ghcr.io/acme/tool:1"}
	b.Mirrors = registry.Mirrors{"index.docker.io": "kiln-registry:5000"}
	b.Insecure = []string{"kiln-registry:5000"}
	b.PlainLogin = []string{"kiln-registry:5000"}
	b.SecretName, b.PullSecretName, b.CAConfigMap = "registry", "bases", "authorities"
	b.PullAllow = []string{"ghcr.io/acme/**", "docker.io"}
	b.Index, b.IndexPulled = true, []string{"sha256:" + strings.Repeat("b", 64), "sha256:" + strings.Repeat("c", 64)}
	b.Proxy = kaniko.Proxy{HTTP: "http://proxy:3128", HTTPS: "http://robot:hunter2@proxy:3128", No: "kiln-registry,.svc"}
	b.Tolerations = []corev1.Toleration{{Key: "ci", Operator: corev1.TolerationOpExists}}
	b.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "pull"}}
	b.Arch = "arm64"
	return b
}

func identityBuild() kaniko.Build {
	b := smallBuild()
	b.CAConfigMap = "authorities"
	b.Push = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/kiln/app:k1-0"
	b.ServiceAccount = "kiln"
	b.Identity = cloudlogin.Identity{
		Cloud: cloudlogin.AWS, Registry: "123456789012.dkr.ecr.eu-central-1.amazonaws.com", RoleARN: "arn:aws:iam::123456789012:role/kiln",
		TokenFile: "/elsewhere", CAFile: "/elsewhere",
	}
	return b
}

func TestPod(t *testing.T) {
	for name, build := range map[string]kaniko.Build{"small": smallBuild(), "full": fullBuild(), "identity": identityBuild()} {
		t.Run(name, func(t *testing.T) {
			pod, err := kaniko.Pod(build)
			if err != nil {
				t.Fatal(err)
			}
			text, err := yaml.Marshal(pod)
			if err != nil {
				t.Fatal(err)
			}
			golden.File(t, filepath.Join("testdata", "pod-"+name+".yaml"), string(text))
		})
	}
}

// The container in which the Dockerfile's commands run has nothing that opens a
// registry or the cluster, whatever the settings.
func TestExecutorHasNoCredentials(t *testing.T) {
	b := fullBuild()
	b.Identity, b.ServiceAccount = identityBuild().Identity, "kiln"
	pod, err := kaniko.Pod(b)
	if err != nil {
		t.Fatal(err)
	}
	c := pod.Spec.Containers[1]
	init := []corev1.VolumeMount{{Name: "init", MountPath: "/kaniko/kiln", ReadOnly: true}}
	if c.Name != kaniko.ContainerKaniko || !cmp.Equal(c.VolumeMounts, init) || len(c.EnvFrom) > 0 {
		t.Errorf("the container %s has mounts %v, variables from %v", c.Name, c.VolumeMounts, c.EnvFrom)
	}
	for _, v := range pod.Spec.Volumes {
		if v.Name == "init" && !cmp.Equal(v.VolumeSource, corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}) {
			t.Errorf("the volume that the containers share is %v", v.VolumeSource)
		}
	}
	for _, variable := range c.Env {
		feature := strings.HasPrefix(variable.Name, "FF_KANIKO_") && (variable.Value == "true" || variable.Value == "false")
		proxy := variable.Name == "HTTP_PROXY" || variable.Name == "NO_PROXY"
		if !feature && !proxy || variable.ValueFrom != nil {
			t.Errorf("the container %s has the variable %v", c.Name, variable)
		}
	}
	if args := strings.Join(c.Args, " "); strings.Contains(args, "hunter2") || !strings.Contains(args, "--build-arg=http_proxy=http://proxy:3128 ") {
		t.Errorf("the container %s has the arguments %s", c.Name, args)
	}
	if pod.Spec.AutomountServiceAccountToken == nil || *pod.Spec.AutomountServiceAccountToken {
		t.Error("the pod has a service account token")
	}
	if pod.Spec.ShareProcessNamespace != nil || pod.Spec.HostNetwork || pod.Spec.HostPID || pod.Spec.HostIPC {
		t.Error("the containers share more than the network")
	}
}

// A limit below what a build asks for is what it asks for.
func TestSmallLimits(t *testing.T) {
	b := smallBuild()
	b.Memory, b.EphemeralStorage = "96Mi", "40Mi"
	pod, err := kaniko.Pod(b)
	if err != nil {
		t.Fatal(err)
	}
	r := pod.Spec.Containers[1].Resources
	if got := r.Requests.Memory().String() + " " + r.Requests.StorageEphemeral().String(); got != "96Mi 40Mi" {
		t.Errorf("requests %s, want 96Mi 40Mi", got)
	}
}

func TestPodErrors(t *testing.T) {
	tests := []struct {
		name   string
		change func(*kaniko.Build)
		want   string
	}{
		{"push reference", func(b *kaniko.Build) { b.Push = "acme/app" }, "push reference"},
		{"memory", func(b *kaniko.Build) { b.Memory = "2 GB" }, "memory limit"},
		{"storage", func(b *kaniko.Build) { b.EphemeralStorage = "" }, "storage limit"},
		{"image", func(b *kaniko.Build) { b.Pulls = []string{"a b"} }, "pull reference"},
		{"registry", func(b *kaniko.Build) { b.Pulls = []string{"localhost/x:1"} }, "registry host"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := smallBuild()
			tt.change(&b)
			if _, err := kaniko.Pod(b); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Pod error = %v, want %q", err, tt.want)
			}
		})
	}
}
