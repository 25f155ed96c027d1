package podrun

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/podlog"
)

// Follow hands the whole log of a container to sink, as [podlog.Follow] does; where it
// has come is not told.
func (c Client) Follow(ctx context.Context, pod, container string, sink func(line []byte) error) error {
	return c.FollowFrom(ctx, pod, container, podlog.Position{}, func(line []byte, _ podlog.Position) error { return sink(line) })
}

// FollowFrom hands the log of a container behind a position to sink, as [podlog.Follow]
// does.
//
// If the pod is deleted meanwhile, the error is ErrGone and the log may end
// early; any other error names the request that did not succeed.
func (c Client) FollowFrom(ctx context.Context, pod, container string, from podlog.Position, sink podlog.Sink) error {
	err := podlog.Follow(ctx, containerLog{client: c, pod: pod, container: container}, from, sink)
	if incomplete, ok := errors.AsType[*podlog.IncompleteError](err); ok {
		return fmt.Errorf("log of container %s may be incomplete: %w", container, incomplete.Cause)
	}
	return err
}

// containerLog is the log and the life of one container, for podlog.
type containerLog struct {
	client         Client
	pod, container string
}

// Open implements [podlog.Source].
func (l containerLog) Open(ctx context.Context, since time.Time, follow bool) (io.ReadCloser, error) {
	options := &corev1.PodLogOptions{Container: l.container, Timestamps: true, Follow: follow}
	if !since.IsZero() {
		options.SinceTime = new(metav1.NewTime(since))
	}
	stream, err := l.client.Kube.PodLog(ctx, l.client.Namespace, l.pod, options)
	if err != nil {
		return nil, l.client.refused(call{"get", "pods/log", l.pod}, err)
	}
	return stream, nil
}

// Watch implements [podlog.Source].
func (l containerLog) Watch(ctx context.Context, changed func(podlog.State) (done bool)) error {
	return l.client.Watch(ctx, l.pod, func(p *corev1.Pod) (bool, error) {
		return changed(podlog.State{Ran: ran(p, l.container), Begun: StartedAt(p, l.container), Over: Over(p, l.container)}), nil
	})
}

// Final implements [podlog.Source].
func (l containerLog) Final(err error) bool { return final(err) }
