package podrun

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

// finalTries bounds how often the log of an ended container is asked for
// without learning anything: about 12 seconds with the pauses of retries.
const finalTries = 8

// emptyTries is how often an ended container's log is asked for again that
// brings nothing, not even what was read before, within a third of a second. A
// log may be empty, or its file new; a stream that breaks before its first line
// looks the same.
const emptyTries = 2

// unreachable is how long the log of a running container is asked for without
// ever getting an answer from its node. A kubelet that restarts is back sooner.
const unreachable = 2 * time.Minute

// How long a stream may be silent before another takes its place.
const (
	// quietBurst is for a stream that has just brought much. The kubelet
	// misses a rotation that happens before it has read a file to its end
	// once, and goes on waiting at the end of the old file.
	quietBurst = 2 * time.Second
	// quietOver is for the stream of an ended container, which the kubelet
	// ends by itself within a second.
	quietOver = 10 * time.Second
	// quiet is for any other stream: a connection may be dead on one side.
	quiet = time.Minute
	// burst is how many bytes are much.
	burst = 1 << 20
)

// Follow hands the whole log of a container to sink, in order, each byte once,
// and returns when the container has ended and all of it was read. It waits for
// a container that has not started. A container that never ran has an empty log.
//
// sink receives one line per call with its '\n', whatever else it holds; a last
// line without '\n' comes as it is. A line longer than 1 MiB comes in several
// pieces of which only the last ends in '\n'. The slice is valid during the call.
// sink receives nil where lines may be missing because the kubelet rotated a log
// file away unread; see gap for what that rests on.
//
// An error of sink ends Follow and is returned as it is. While sink blocks,
// nothing more is read from the node.
//
// The end of a stream is not the end of the log: kubelet restarts, rotated log
// files, API servers and load balancers end it, mostly without an error. Follow
// asks again from the last timestamp and passes on what it has not seen, until
// the container has ended and a last read brought nothing new, or three of them
// nothing at all. Lines are lost only with a log file that the kubelet rotated
// away unread. A line may come twice where a break follows within seconds on a
// node's clock being set back or on a rotation in the middle of that line.
//
// A node of which no stream could be opened for two minutes is given up: no
// route leads to its kubelet. Once there was one, breaks of any length are
// survived.
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
	f := follower{client: c, pod: pod, container: container, life: life, lines: newLines(sink), pauses: retries, tick: time.Second, unreachable: unreachable}
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
	// tick is how often a stream's silence is looked at.
	tick time.Duration
	// unreachable is how long to try for a first stream, and reached says that
	// there was one.
	unreachable time.Duration
	reached     bool
}

// run reads streams until the log is known to be complete.
func (f *follower) run(ctx context.Context) error {
	now, err := f.life.started(ctx)
	if err != nil {
		return err
	}
	f.lines.gap.begun = now.begun
	pause, futile, empty, began := f.pauses(), 0, 0, time.Now()
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
			if empty++; f.lines.heard || empty > emptyTries {
				return f.lines.finish()
			}
		case final(err):
			return errors.Join(f.lines.finish(), f.ended(err))
		case now.over && err == nil:
			futile = 0
			continue
		case f.lines.progress:
			pause, futile = f.pauses(), 0
		case !now.over && !f.reached && time.Since(began) > f.unreachable:
			return f.ended(err)
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
// follow, and feeds it to the lines until it breaks or is silent for too long.
func (f *follower) read(ctx context.Context, over bool) error {
	options := &corev1.PodLogOptions{Container: f.container, Timestamps: true, Follow: !over}
	since, resumed := f.lines.since()
	if resumed {
		options.SinceTime = new(metav1.NewTime(since))
	}
	ctx, cancel := context.WithCancel(ctx)
	stream, err := f.client.Kube.CoreV1().Pods(f.client.Namespace).GetLogs(f.pod, options).Stream(ctx)
	if err != nil {
		cancel()
		return f.client.refused(call{"get", "pods/log", f.pod}, err)
	}
	f.reached = true
	timed := &timedReader{source: stream}
	before := f.lines.sent.Load() // here: the guard may start after the first bytes
	var guard sync.WaitGroup
	guard.Go(func() { f.guard(ctx, cancel, timed, before) })
	defer func() {
		cancel()
		guard.Wait()
		_ = stream.Close()
	}()
	return f.lines.read(timed, resumed)
}

// guard cancels a stream that is silent for too long; before is how many bytes
// had been sent when it began. It ends with ctx.
func (f *follower) guard(ctx context.Context, cancel func(), stream *timedReader, before int64) {
	ticker := time.NewTicker(f.tick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			if stream.silence(now) > f.patience(f.lines.sent.Load()-before) {
				cancel()
				return
			}
		}
	}
}

// patience is how long a stream that brought that many new bytes may be silent.
func (f *follower) patience(brought int64) time.Duration {
	switch {
	case f.life.isOver():
		return quietOver
	case brought >= burst:
		return quietBurst
	}
	return quiet
}

// timedReader knows how long its reader has been waiting for the source. A slow
// reader is no silence.
type timedReader struct {
	source io.Reader
	began  atomic.Pointer[time.Time]
}

// Read implements io.Reader.
func (r *timedReader) Read(p []byte) (int, error) {
	r.began.Store(new(time.Now()))
	defer r.began.Store(nil)
	return r.source.Read(p)
}

// silence is how long the present Read has been waiting.
func (r *timedReader) silence(now time.Time) time.Duration {
	began := r.began.Load()
	if began == nil {
		return 0
	}
	return now.Sub(*began)
}
