package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	corev1 "k8s.io/api/core/v1"
)

// AwaitLog follows a container's log until it has the text. The container need not
// have started. A log that ends without the text is an error.
func (c *Cluster) AwaitLog(ctx context.Context, namespace, pod, container, text string) error {
	began := func(pod *corev1.Pod) (bool, error) { return Running(container)(pod), nil }
	if err := c.Await(ctx, namespace, pod, began); err != nil {
		return fmt.Errorf("wait for container %s of %s: %w", container, pod, err)
	}
	log, err := c.Kube.CoreV1().Pods(namespace).
		GetLogs(pod, &corev1.PodLogOptions{Container: container, Follow: true}).Stream(ctx)
	if err != nil {
		return fmt.Errorf("follow the log of container %s of %s: %w", container, pod, err)
	}
	defer log.Close()
	if err := readUntil(log, text); err != nil {
		return fmt.Errorf("follow the log of container %s of %s: %w", container, pod, err)
	}
	return nil
}

// errNotSaid says that a log ended without a text.
var errNotSaid = errors.New("it ended without the text")

// readUntil reads until it has read the text.
func readUntil(r io.Reader, text string) error {
	var past []byte
	piece := make([]byte, 4<<10)
	for {
		n, err := r.Read(piece)
		past = append(past, piece[:n]...)
		switch {
		case bytes.Contains(past, []byte(text)):
			return nil
		case errors.Is(err, io.EOF):
			return fmt.Errorf("%w %q", errNotSaid, text)
		case err != nil:
			return err
		}
	}
}
