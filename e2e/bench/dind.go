package main

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/e2e/harness"
)

// engine is a Docker engine in a privileged pod, as runners have one beside them.
type engine struct {
	cluster   *harness.Cluster
	namespace string
	pod       string
}

// enginePrograms are what an engine consists of (packages docker.io, containerd and
// runc of Debian).
func enginePrograms() []string {
	return []string{"dockerd", "docker", "containerd", "containerd-shim-runc-v2", "runc", "docker-init"}
}

// mirrorAddress is where the engine's pod has the cluster's registry: BuildKit takes plain
// HTTP from its own host alone.
const mirrorAddress = "127.0.0.1:5001"

// startEngine starts the pod. It is nil on a machine that has no engine's programs.
func startEngine(ctx context.Context, cluster *harness.Cluster, namespace string) (*engine, error) {
	image, err := packEngine(ctx, cluster)
	if err != nil || image == "" {
		return nil, err
	}
	pod := barePod("engine", 0, corev1.Container{
		Image: image, Command: []string{"standin", "keep-tags", mirrorAddress, "http://" + cluster.Registry},
		SecurityContext: &corev1.SecurityContext{Privileged: new(true)},
		// An overlay file system lies on no other one.
		VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/var/lib/docker"}},
	})
	pod.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
	if _, err := cluster.Kube.CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{}); err != nil {
		return nil, fmt.Errorf("create pod %s: %w", pod.Name, err)
	}
	err = cluster.Await(ctx, namespace, pod.Name, func(pod *corev1.Pod) (bool, error) { return harness.Running(container)(pod), nil })
	return &engine{cluster: cluster, namespace: namespace, pod: pod.Name}, err
}

// packEngine makes an image of this machine's programs and of the libraries that they
// are linked to. It is empty where one is missing.
func packEngine(ctx context.Context, cluster *harness.Cluster) (string, error) {
	files := map[string]string{"usr/bin/standin": filepath.Join(cluster.Root, "bin", "e2e", "standin")}
	for _, name := range enginePrograms() {
		path := findProgram(name)
		if path == "" {
			return "", nil
		}
		files["usr/bin/"+name] = path
		libraries, err := librariesOf(ctx, path)
		if err != nil {
			return "", err
		}
		for _, library := range libraries {
			files[strings.TrimPrefix(library, "/")] = library
		}
	}
	return cluster.PackImage(ctx, v1.Config{Env: []string{"PATH=/usr/bin:/bin"}}, files)
}

// findProgram prefers Debian's to what else is in the search path.
func findProgram(name string) string {
	for _, path := range []string{"/usr/sbin/" + name, "/usr/bin/" + name, name} {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	return ""
}

var libraryLine = regexp.MustCompile(`(?m)^\s*(?:\S+ => )?(/\S+) \(0x`)

// librariesOf are the files that the loader maps for a program (ldd(1)).
func librariesOf(ctx context.Context, program string) ([]string, error) {
	out, err := exec.CommandContext(ctx, "ldd", program).CombinedOutput()
	if err != nil {
		if strings.Contains(string(out), "not a dynamic executable") {
			return nil, nil
		}
		return nil, fmt.Errorf("find the libraries of %s: %w\n%s", program, err, out)
	}
	var libraries []string
	for _, found := range libraryLine.FindAllStringSubmatch(string(out), -1) {
		libraries = append(libraries, found[1])
	}
	return libraries, nil
}

// engineScript builds and runs what is in /context: with a new engine that has nothing,
// its start included, and with what is in /changed, when all is there. It prints both
// times in seconds, and leaves no engine.
const engineScript = `set -eu
mirror=$1 name=$2
data=/var/lib/docker/$name log=/tmp/$name.log pid=
export DOCKER_BUILDKIT=1
end() {
  code=$?
  [ "$code" = 0 ] || tail -n 20 "$log" >&2
  [ -z "$pid" ] || { kill "$pid"; wait "$pid" || true; }
  rm -rf "$data" 2>/dev/null || true # it may be a mount still
  exit "$code"
}
trap end EXIT
rm -rf /context /changed /var/run/docker.sock /var/run/docker.pid
mkdir -p "$data" /tmp
tar -x -C /
seconds() { read -r up rest < /proc/uptime; echo "$up"; }
use() {
  docker build --network=host --tag=bench "$1" >>"$log" 2>&1
  docker run --rm --network=host --volume=/tmp:/github/workspace bench >>"$log" 2>&1
}
seconds
dockerd --data-root="$data" --exec-root="/run/$name" --bridge=none --iptables=false --ip6tables=false \
  --registry-mirror="http://$mirror" >>"$log" 2>&1 &
pid=$!
until [ -S /var/run/docker.sock ]; do sleep 0.02; done
use /context
seconds
use /changed
seconds
`

// measure builds and runs a context with an engine that was never used, and then a
// changed one with the same engine.
func (e *engine) measure(ctx context.Context, first, changed harness.Files) (cold, warm float64, err error) {
	contexts, err := tarOf(map[string]harness.Files{"context": first, "changed": changed})
	if err != nil {
		return 0, 0, err
	}
	var out, complaint bytes.Buffer
	err = e.cluster.Exec(ctx, harness.Exec{
		Namespace: e.namespace, Pod: e.pod, Container: container, Stdin: bytes.NewReader(contexts), Stdout: &out, Stderr: &complaint,
		Command: []string{"sh", "-c", engineScript, "sh", mirrorAddress, nonce()},
	})
	if err != nil {
		return 0, 0, fmt.Errorf("build with a Docker engine: %w\n%s", err, complaint.Bytes())
	}
	var times [3]float64
	for i, text := range strings.Fields(out.String()) {
		if i >= len(times) {
			break
		}
		if times[i], err = strconv.ParseFloat(text, 64); err != nil {
			return 0, 0, fmt.Errorf("read the times of a Docker engine: %w", err)
		}
	}
	if times[2] == 0 {
		return 0, 0, fmt.Errorf("a Docker engine printed no times: %s\n%s", out.Bytes(), complaint.Bytes())
	}
	return times[1] - times[0], times[2] - times[1], nil
}

// tarOf packs directories of files.
func tarOf(directories map[string]harness.Files) ([]byte, error) {
	var out bytes.Buffer
	tw := tar.NewWriter(&out)
	for dir, files := range directories {
		for name, file := range files {
			mode := int64(file.Mode.Perm())
			if mode == 0 {
				mode = 0o644
			}
			if err := tw.WriteHeader(&tar.Header{Name: dir + "/" + name, Typeflag: tar.TypeReg, Mode: mode, Size: int64(len(file.Data))}); err != nil {
				return nil, fmt.Errorf("pack context: %w", err)
			}
			if _, err := io.Copy(tw, bytes.NewReader(file.Data)); err != nil {
				return nil, fmt.Errorf("pack context: %w", err)
			}
		}
	}
	if err := tw.Close(); err != nil {
		return nil, fmt.Errorf("pack context: %w", err)
	}
	return out.Bytes(), nil
}
