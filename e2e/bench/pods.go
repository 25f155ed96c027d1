package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"

	"kiln/e2e/harness"
)

// container is the name of the one container of a bare pod.
const container = "main"

// podRun is a bare pod and what is sent to its standard input.
type podRun struct {
	pod   *corev1.Pod
	stdin []byte
}

func barePod(name string, round int, c corev1.Container) *corev1.Pod {
	c.Name = container
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", name, round)},
		Spec: corev1.PodSpec{
			RestartPolicy:                corev1.RestartPolicyNever,
			AutomountServiceAccountToken: new(false),
			EnableServiceLinks:           new(false),
			Containers:                   []corev1.Container{c},
		},
	}
}

func (b *bench) truePod(round int) podRun {
	return podRun{pod: barePod("true", round, corev1.Container{
		Image: b.Registry + "/library/busybox:latest", Command: []string{"true"},
	})}
}

// kanikoPod builds the action's Dockerfile as people run Kaniko by hand: one
// container as root, context on standard input, push straight to the registry.
func (b *bench) kanikoPod(round int, image string) podRun {
	args := []string{"--context=tar://stdin", "--dockerfile=Dockerfile", "--destination=" + image, "--insecure", "--insecure-pull"}
	for mirror := range strings.SplitSeq(b.Mirrors, ",") {
		if from, to, ok := strings.Cut(mirror, "="); ok {
			args = append(args, "--registry-map="+strings.Replace(from, "docker.io", "index.docker.io", 1)+"="+to)
		}
	}
	return podRun{stdin: b.context, pod: barePod("kaniko", round, corev1.Container{
		Image: b.KanikoImage, Args: args, Stdin: true, StdinOnce: true,
	})}
}

// actionPod runs the image with the mounts of a container action.
func (b *bench) actionPod(name string, round int, image string) podRun {
	mount := func(target, sub string) corev1.VolumeMount {
		return corev1.VolumeMount{Name: "work", MountPath: target, SubPath: sub}
	}
	pod := barePod(name, round, corev1.Container{
		Image: image, WorkingDir: "/github/workspace", Args: []string{"World"},
		Env: []corev1.EnvVar{{Name: "SHOUT", Value: "false"}, {Name: "GITHUB_OUTPUT", Value: "/github/file_commands/bench"}},
		VolumeMounts: []corev1.VolumeMount{
			mount("/__w", ""), mount("/github/workspace", "app/app"), mount("/github/home", "_temp/_github_home"),
			mount("/github/workflow", "_temp/_github_workflow"), mount("/github/file_commands", "_temp/_runner_file_commands"),
			mount("/github/runner_temp", "_temp"),
		},
	})
	pod.Spec.Volumes = []corev1.Volume{{Name: "work", VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: b.runner.Pod + "-work"},
	}}}
	return podRun{pod: pod}
}

// podTimes count from the request that creates a pod.
type podTimes struct{ running, logEnds, terminated time.Duration }

// endSeen is when a pod's end was seen, or why it was not.
type endSeen struct {
	after time.Duration
	err   error
}

// timePod creates the pod, sends its input, reads its log to the end, and
// waits until its container is seen to have ended with exit code 0.
func (b *bench) timePod(ctx context.Context, p podRun) (t podTimes, err error) {
	name := p.pod.Name
	ended := make(chan endSeen, 1)
	running := make(chan struct{})
	began := time.Now()
	if _, err := b.Kube.CoreV1().Pods(b.namespace).Create(ctx, p.pod, metav1.CreateOptions{}); err != nil {
		return t, fmt.Errorf("create pod %s: %w", name, err)
	}
	go func() {
		err := b.Await(ctx, b.namespace, name, awaitEnd(running))
		ended <- endSeen{time.Since(began), err}
	}()
	select {
	case <-running:
		t.running = time.Since(began)
	case end := <-ended:
		return t, fmt.Errorf("wait for pod %s: %w", name, end.err)
	}
	// An attach lasts as long as its container.
	sent := make(chan error, 1)
	go func() { sent <- b.send(ctx, p) }()
	log, err := b.Kube.CoreV1().Pods(b.namespace).GetLogs(name, &corev1.PodLogOptions{Follow: true}).Stream(ctx)
	if err != nil {
		return t, fmt.Errorf("read log of pod %s: %w", name, err)
	}
	text, err := io.ReadAll(log)
	if err = errors.Join(err, log.Close()); err != nil {
		return t, fmt.Errorf("read log of pod %s: %w", name, err)
	}
	t.logEnds = time.Since(began)
	end := <-ended
	if end.err != nil {
		return t, fmt.Errorf("wait for pod %s: %w\n%s", name, end.err, text)
	}
	t.terminated = end.after
	if err := <-sent; err != nil {
		return t, err
	}
	return t, b.Kube.CoreV1().Pods(b.namespace).Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))})
}

// awaitEnd closes running once the container runs, and is done when it ended.
func awaitEnd(running chan<- struct{}) func(*corev1.Pod) (bool, error) {
	open := true
	return func(pod *corev1.Pod) (bool, error) {
		if open && harness.Running(container)(pod) {
			open = false
			close(running)
		}
		for _, s := range pod.Status.ContainerStatuses {
			if end := s.State.Terminated; end != nil && end.ExitCode != 0 {
				return false, fmt.Errorf("exit code %d", end.ExitCode)
			}
		}
		return harness.Terminated(container)(pod), nil
	}
}

// send attaches to the container and writes its input.
func (b *bench) send(ctx context.Context, p podRun) error {
	if p.stdin == nil {
		return nil
	}
	url := b.Kube.CoreV1().RESTClient().Post().Resource("pods").Namespace(b.namespace).Name(p.pod.Name).SubResource("attach").
		VersionedParams(&corev1.PodAttachOptions{Container: container, Stdin: true}, scheme.ParameterCodec).URL()
	attach, err := remotecommand.NewWebSocketExecutor(b.Config, "GET", url.String())
	if err != nil {
		return fmt.Errorf("attach to pod %s: %w", p.pod.Name, err)
	}
	err = attach.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: bytes.NewReader(p.stdin)})
	if err != nil {
		return fmt.Errorf("attach to pod %s: %w", p.pod.Name, err)
	}
	return nil
}

// gzipContext packs an action's files as Kaniko wants its context.
func gzipContext(files harness.Files) ([]byte, error) {
	var out bytes.Buffer
	gz := gzip.NewWriter(&out)
	tw := tar.NewWriter(gz)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f := files[name]
		h := &tar.Header{Name: path.Base(name), Typeflag: tar.TypeReg, Mode: int64(f.Mode.Perm()), Size: int64(len(f.Data))}
		if err := tw.WriteHeader(h); err != nil {
			return nil, fmt.Errorf("pack context: %w", err)
		}
		if _, err := tw.Write(f.Data); err != nil {
			return nil, fmt.Errorf("pack context: %w", err)
		}
	}
	if err := errors.Join(tw.Close(), gz.Close()); err != nil {
		return nil, fmt.Errorf("pack context: %w", err)
	}
	return out.Bytes(), nil
}
