package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

// TestUnpack: the tree of a commit, not the working tree.
func TestUnpack(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	git := func(args ...string) {
		cmd := exec.Command("git", append([]string{"-C", root, "-c", "user.name=n", "-c", "user.email=e"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	file := filepath.Join(root, "file")
	write(t, file, "old")
	git("init", "-q")
	git("add", ".")
	git("commit", "-qm", "m")
	write(t, file, "new")
	commit, err := revision(t.Context(), root, "HEAD")
	if err != nil {
		t.Fatal(err)
	}
	if err := unpack(t.Context(), root, commit, dir); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "file")); err != nil || string(data) != "old" {
		t.Errorf("file = %q, %v; want old", data, err)
	}
	if _, err := revision(t.Context(), root, "--all"); err == nil || !strings.Contains(err.Error(), "find revision --all") {
		t.Errorf("revision --all: %v", err)
	}
	if err := unpack(t.Context(), root, strings.Repeat("0", 40), dir); err == nil {
		t.Error("a commit that does not exist was unpacked")
	}
}

func TestKnownSettings(t *testing.T) {
	tree := t.TempDir()
	if err := os.Mkdir(filepath.Join(tree, "manifests"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(tree, "README.md"), "| `KILN_OLD` |")
	write(t, filepath.Join(tree, "manifests", "runner-pod.yaml"), "- name: POD_NAME\n")
	adjust, err := knownSettings(tree)
	if err != nil {
		t.Fatal(err)
	}
	env := []corev1.EnvVar{{Name: "POD_NAME"}, {Name: "KILN_NEW"}, {Name: "KILN_OLD"}}
	pod := &corev1.Pod{Spec: corev1.PodSpec{
		InitContainers: []corev1.Container{{Name: "kiln", Env: env}},
		Containers:     []corev1.Container{{Name: "runner", Env: env}},
	}}
	adjust(pod)
	want := []corev1.EnvVar{{Name: "POD_NAME"}, {Name: "KILN_OLD"}}
	if diff := cmp.Diff(want, pod.Spec.InitContainers[0].Env) + cmp.Diff(env, pod.Spec.Containers[0].Env); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
