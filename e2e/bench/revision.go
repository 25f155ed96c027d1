package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"kiln/e2e/harness"
)

// revision returns the hash of the commit that is called so in the repository.
func revision(ctx context.Context, root, name string) (string, error) {
	out, err := exec.CommandContext(ctx, "git", "-C", root, "rev-parse", "--verify", "--end-of-options", name+"^{commit}").Output()
	if err != nil {
		return "", fmt.Errorf("find revision %s: %w%s", name, err, stderrOf(err))
	}
	return strings.TrimSpace(string(out)), nil
}

// unpack writes the files of a commit below dir. It leaves nothing in the
// repository, unlike a work tree.
func unpack(ctx context.Context, root, commit, dir string) error {
	archive := exec.CommandContext(ctx, "git", "-C", root, "archive", "--format=tar", commit)
	tree, err := archive.StdoutPipe()
	if err != nil {
		return fmt.Errorf("unpack %s: %w", commit, err)
	}
	var complaint bytes.Buffer
	archive.Stderr = &complaint
	if err := archive.Start(); err != nil {
		return fmt.Errorf("unpack %s: %w", commit, err)
	}
	extract := exec.CommandContext(ctx, "tar", "-x", "-C", dir)
	extract.Stdin = tree
	out, err := extract.CombinedOutput()
	if err := errors.Join(err, archive.Wait()); err != nil {
		return fmt.Errorf("unpack %s: %w\n%s%s", commit, err, complaint.Bytes(), out)
	}
	return nil
}

// knownSettings returns a change of a runner pod that takes the settings from its
// kiln container that the kiln of a tree does not know: it would refuse them.
func knownSettings(tree string) (func(*corev1.Pod), error) {
	var known []byte
	for _, file := range []string{"README.md", "manifests/runner-pod.yaml"} {
		data, err := os.ReadFile(filepath.Join(tree, file))
		if err != nil {
			return nil, fmt.Errorf("read settings of the older kiln: %w", err)
		}
		known = append(known, data...)
	}
	return func(pod *corev1.Pod) {
		for i := range pod.Spec.InitContainers {
			container := &pod.Spec.InitContainers[i]
			if container.Name != harness.DaemonContainer {
				continue
			}
			var env []corev1.EnvVar
			for _, variable := range container.Env {
				if bytes.Contains(known, []byte(variable.Name)) {
					env = append(env, variable)
				}
			}
			container.Env = env
		}
	}, nil
}

// stderrOf is what a program that failed said, on lines of its own.
func stderrOf(err error) string {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && len(exit.Stderr) > 0 {
		return "\n" + string(exit.Stderr)
	}
	return ""
}
