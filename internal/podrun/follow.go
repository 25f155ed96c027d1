package podrun

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

// finalTries bounds how often the log of an ended container is asked for
// without learning anything: about 12 seconds with the pauses of retries.
const finalTries = 8

// stalled is how long the stream of an ended container may be silent before it
// is given up and opened again.
const stalled = 10 * time.Second

// Follow hands the whole log of a container to sink, in order, each byte once,
// and returns when the container has ended and all of it was read. It waits for
// a container that has not started. A container that never ran has an empty log.
//
// sink receives one line per call with its '\n', whatever else it holds; a last
// line without '\n' comes as it is. A line longer than 1 MiB comes in several
// pieces of which only the last ends in '\n'. The slice is valid during the call.
// An error of sink ends Follow and is returned as it is. While sink blocks,
// nothing more is read from the node.
//
// The end of a stream is not the end of the log: kubelet restarts, rotated log
// files, API servers and load balancers end it, mostly without an error. Follow
// asks again from the last timestamp and passes on what it has not seen, until
// the container has ended and a last read brought nothing new. Lines are lost
// only with a log file that the kubelet rotated away unread. A line may come
// twice where a break follows within seconds on a node's clock being set back or
// on a rotation in the middle of that line.
//
// If the pod is deleted meanwhile, the error is ErrGone and the log may end
// early; any other error names the request that did not succeed.
func (c Client) Follow(ctx context.Context, pod, container string, sink func(line []byte) error) error {
	ctx, cancel := context.WithCancel(ctx)
	life := c.watchLife(ctx, pod, container)
	defer func() {
		cancel()
		<-life.ended
	}()
	f := follower{client: c, pod: pod, container: container, life: life, lines: newLines(sink), pauses: retries}
	return f.run(ctx)
}

// follower is one Follow call.
type follower struct {
	client         Client
	pod, container string
	life           *life
	lines          *lines
	// pauses makes the pauses between two streams.
	pauses func() *wait.Backoff
}

// run reads streams until the log is known to be complete.
func (f *follower) run(ctx context.Context) error {
	now, err := f.life.started(ctx)
	if err != nil {
		return err
	}
	pause, futile := f.pauses(), 0
	for {
		if now.err != nil {
			return errors.Join(f.lines.finish(), f.ended(now.err))
		}
		if now.over && !now.ran {
			return nil
		}
		f.lines.progress = false
		err := f.read(ctx, now.over)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case f.lines.sinkErr != nil:
			return f.lines.sinkErr
		case now.over && err == nil && !f.lines.progress:
			return f.lines.finish()
		case final(err):
			return errors.Join(f.lines.finish(), f.ended(err))
		case now.over && err == nil:
			futile = 0
			continue
		case f.lines.progress:
			pause, futile = f.pauses(), 0
		case now.over:
			if futile++; futile == finalTries {
				return errors.Join(f.lines.finish(), f.ended(err))
			}
		}
		now = f.life.next(ctx, now, pause)
	}
}

// ended is the error for a log whose end is not certain.
func (f *follower) ended(err error) error {
	return fmt.Errorf("log of container %s may be incomplete: %w", f.container, err)
}

// read opens one stream, to the present end for an ended container, else to
// follow, and feeds it to the lines until it breaks.
func (f *follower) read(ctx context.Context, over bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	options := &corev1.PodLogOptions{Container: f.container, Timestamps: true, Follow: !over}
	since, resumed := f.lines.since()
	if resumed {
		options.SinceTime = new(metav1.NewTime(since))
	}
	stream, err := f.client.Kube.CoreV1().Pods(f.client.Namespace).GetLogs(f.pod, options).Stream(ctx)
	if err != nil {
		return f.client.refused(call{"get", "pods/log", f.pod}, err)
	}
	defer stream.Close()
	watched := newStallReader(stream, stalled, f.life.isOver, cancel)
	defer watched.stop()
	return f.lines.read(watched, resumed)
}

// stallReader cancels a stream that stays silent although it should have ended.
type stallReader struct {
	source io.Reader
	limit  time.Duration
	timer  *time.Timer
}

func newStallReader(source io.Reader, limit time.Duration, due func() bool, cancel func()) *stallReader {
	r := &stallReader{source: source, limit: limit}
	// Not armed before the first Read: the function uses the timer that is made here.
	r.timer = time.AfterFunc(math.MaxInt64, func() {
		if due() {
			cancel()
			return
		}
		r.timer.Reset(limit)
	})
	return r
}

// Read implements io.Reader. The clock runs only while Read waits, so a slow
// sink is no stall.
func (r *stallReader) Read(p []byte) (int, error) {
	r.timer.Reset(r.limit)
	defer r.timer.Stop()
	return r.source.Read(p)
}

func (r *stallReader) stop() { r.timer.Stop() }
