package podrun

import (
	"context"
	"errors"
	"fmt"
	"io"

	corev1 "k8s.io/api/core/v1"
)

// Tail returns the last lines of a container's log as it is now, and of those the last
// limit bytes.
func (c Client) Tail(ctx context.Context, pod, container string, lines int64, limit int) ([]byte, error) {
	options := &corev1.PodLogOptions{Container: container, TailLines: &lines}
	stream, err := c.Kube.PodLog(ctx, c.Namespace, pod, options)
	if err != nil {
		return nil, c.refused(call{"get", "pods/log", pod}, err)
	}
	text, err := lastOf(stream, limit)
	if err := errors.Join(err, stream.Close()); err != nil {
		return nil, fmt.Errorf("read the log of container %s: %w", container, err)
	}
	return text, nil
}

// lastOf returns the last limit bytes of a stream.
func lastOf(stream io.Reader, limit int) ([]byte, error) {
	var text []byte
	buffer := make([]byte, 32<<10)
	for {
		n, err := stream.Read(buffer)
		text = append(text, buffer[:n]...)
		if excess := len(text) - limit; excess > 0 && (len(text) > 2*limit || err != nil) {
			text = append(text[:0], text[excess:]...)
		}
		switch {
		case errors.Is(err, io.EOF):
			return text, nil
		case err != nil:
			return text, err
		}
	}
}
