//go:build e2e

package e2e_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// wantHarmlessBuildPods looks at every build pod that was seen: whatever a RUN
// step does, the kaniko container has nothing to give away.
func (f *fixture) wantHarmlessBuildPods(t *testing.T) {
	pods := f.seen.With("kaniko")
	if len(pods) == 0 {
		t.Fatal("no build pod was seen")
	}
	for _, pod := range pods {
		if pod.Spec.AutomountServiceAccountToken == nil || *pod.Spec.AutomountServiceAccountToken {
			t.Errorf("build pod %s mounts a service account token", pod.Name)
		}
		secret := map[string]bool{}
		for _, v := range pod.Spec.Volumes {
			secret[v.Name] = v.Secret != nil || v.Projected != nil || v.HostPath != nil || v.PersistentVolumeClaim != nil
		}
		kaniko := container(pod, "kaniko")
		for _, m := range kaniko.VolumeMounts {
			if !m.ReadOnly || m.MountPath != "/kaniko/kiln" {
				t.Errorf("kaniko in %s may write to volume %s at %s", pod.Name, m.Name, m.MountPath)
			}
			if secret[m.Name] {
				t.Errorf("kaniko in %s mounts volume %s", pod.Name, m.Name)
			}
		}
		if len(kaniko.EnvFrom) > 0 {
			t.Errorf("kaniko in %s has envFrom %v", pod.Name, kaniko.EnvFrom)
		}
		for _, e := range kaniko.Env {
			if e.ValueFrom != nil {
				t.Errorf("kaniko in %s has %s from %v", pod.Name, e.Name, e.ValueFrom)
			}
		}
		wantUnprivileged(t, pod)
	}
}

// wantPlainActionPods looks at every pod of an action Job that was seen. What
// kiln has built runs by digest; a ready image runs as the action names it.
func (f *fixture) wantPlainActionPods(t *testing.T) {
	pods := f.seen.With("job")
	if len(pods) == 0 {
		t.Fatal("no action pod was seen")
	}
	for _, pod := range pods {
		job := container(pod, "job")
		if strings.HasPrefix(job.Image, f.Registry) && !strings.Contains(job.Image, "@sha256:") {
			t.Errorf("action pod %s runs %s, want a digest", pod.Name, job.Image)
		}
		if pod.Spec.AutomountServiceAccountToken == nil || *pod.Spec.AutomountServiceAccountToken {
			t.Errorf("action pod %s mounts a service account token", pod.Name)
		}
		for _, m := range job.VolumeMounts {
			if strings.Contains(m.MountPath, "docker.sock") {
				t.Errorf("action pod %s mounts %s", pod.Name, m.MountPath)
			}
		}
		for _, e := range job.Env {
			if e.Value != "" {
				t.Errorf("action pod %s has %s in clear in its spec", pod.Name, e.Name)
			}
		}
		wantUnprivileged(t, pod)
	}
}

func wantUnprivileged(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	for _, c := range pod.Spec.Containers {
		if sc := c.SecurityContext; sc != nil && sc.Privileged != nil && *sc.Privileged {
			t.Errorf("container %s of %s is privileged", c.Name, pod.Name)
		}
	}
}

// wantNoToken looks for a token where the runner container could have one.
func (f *fixture) wantNoToken(t *testing.T) {
	mounts, err := f.Run(t.Context(), "cat", "/proc/mounts")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(mounts, "kubernetes.io") {
		t.Errorf("the runner container has a token mounted:\n%s", mounts)
	}
	found, err := f.Run(t.Context(), "find", "/run", "/var/run/", "/var/lib/kiln", "/home", "/opt", "-name", "*token*")
	if err == nil || found != "" {
		t.Errorf("find = %q, %v; want no token and no daemon's state", found, err)
	}
}

func container(pod *corev1.Pod, name string) corev1.Container {
	for _, c := range pod.Spec.Containers {
		if c.Name == name {
			return c
		}
	}
	return corev1.Container{}
}
