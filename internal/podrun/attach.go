package podrun

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/klog/v2"
	"k8s.io/streaming/pkg/httpstream"

	"kiln/internal/failure"
)

// Attach sends all of stdin to the standard input of a running container and
// closes it. It returns nil when stdin was read to its end and the container
// runtime has answered that the bytes are in the container's pipe; it returns an
// error that says how many bytes were read if anything ended earlier. It does
// not wait for the process (a runtime that keeps the stream open until the
// process ends, as CRI-O does, makes Attach wait that long too: run it beside
// Follow). The container must have stdin and stdinOnce.
//
// After an error the container may have seen a shortened input that ends like a
// whole one: the pod must not be trusted any further. Attach is not repeatable
// for the same reason. stdin is not read any more once Attach has returned, so a
// Read that blocks holds the return back.
//
// The connection is a WebSocket, and SPDY where the API server or a proxy
// refuses that; nothing has been read by then.
func (c Client) Attach(ctx context.Context, pod, container string, stdin io.Reader) error {
	input := &countedReader{source: stdin}
	err := c.stream(ctx, pod, container, input)
	return c.attached(pod, container, input, err)
}

// ErrNotYet says that nothing of an input has arrived: its container may not run yet.
var ErrNotYet = errors.New("the container takes no input")

// notUpgraded is in the error of a kubelet that found no running container, as an API
// server hands it on that has taken the WebSocket before it asked the kubelet (since
// 1.30; k8s.io/apimachinery pkg/util/httpstream/spdy/roundtripper.go). What was read by
// then has gone nowhere.
const notUpgraded = "unable to upgrade connection"

// knockHold is how long a knock waits for the kubelet's refusal before it sends anything:
// what is sent to nobody costs the network as much.
const knockHold = 100 * time.Millisecond

// errHeld ends the reading of an input of which nothing was wanted.
var errHeld = errors.New("nothing was read of the input")

// heldReader begins to read its source after a while, unless all is over by then.
type heldReader struct {
	source io.Reader
	until  <-chan time.Time // nil once it is reading
	over   <-chan struct{}
}

// Read implements [io.Reader]. It is not safe for concurrent use.
func (r *heldReader) Read(p []byte) (int, error) {
	if r.until != nil {
		select {
		case <-r.until:
			r.until = nil
		case <-r.over:
			return 0, errHeld
		}
	}
	return r.source.Read(p)
}

// Knock is [Client.Attach] to a container of which nobody has said that it runs. It tries
// once, by WebSocket alone, and returns [ErrNotYet] where nothing has arrived, for
// whatever reason: it can be called again then, with the input from its beginning. Any
// other outcome is that of Attach. The kubelet knows a container as soon as it runs, and
// tells the API server of it up to a second later.
func (c Client) Knock(ctx context.Context, pod, container string, stdin io.Reader) error {
	return c.knock(ctx, pod, container, &heldReader{source: stdin, until: time.After(knockHold)})
}

// knock is Knock with an input that is held.
func (c Client) knock(ctx context.Context, pod, container string, held *heldReader) error {
	over := make(chan struct{})
	held.over = over
	input := &countedReader{source: held}
	// That nobody takes the input is no error yet, and client-go would log it as one.
	err := c.webSocket(klog.NewContext(ctx, klog.Logger{}), pod, container, input)
	close(over)
	untouched := input.untouched()
	if err == nil && untouched {
		err = io.ErrShortWrite
	}
	if err != nil && (untouched || strings.Contains(err.Error(), notUpgraded)) {
		_, _, _ = input.close()
		return fmt.Errorf("attach to pod %s/%s: %w: %w", c.Namespace, pod, ErrNotYet, err)
	}
	return c.attached(pod, container, input, err)
}

// attached is the outcome of an attach that has ended with err.
func (c Client) attached(pod, container string, input *countedReader, err error) error {
	did := call{"attach", "pods", pod}
	sent, complete, readErr := input.close()
	switch {
	case readErr != nil:
		return fmt.Errorf("attach to pod %s/%s: read input after %d bytes: %w", c.Namespace, pod, sent, readErr)
	case err != nil && sent == 0:
		return c.refused(did, err)
	case err != nil:
		return failure.New(failure.ContextTransport, "attach to pod %s/%s: connection lost after %d bytes: %w", c.Namespace, pod, sent, err)
	case !complete:
		return failure.New(failure.ContextTransport, "attach to pod %s/%s: container %s stopped reading after %d bytes: %w",
			c.Namespace, pod, container, sent, io.ErrShortWrite)
	}
	return nil
}

// target is where a container's standard input is attached to.
func (c Client) target(pod, container string) *url.URL {
	return c.Kube.AttachURL(c.Namespace, pod, &corev1.PodAttachOptions{Container: container, Stdin: true})
}

// webSocket streams by WebSocket.
func (c Client) webSocket(ctx context.Context, pod, container string, input *countedReader) error {
	// A WebSocket upgrade is a GET by its standard (RFC 6455, section 4.1).
	executor, err := remotecommand.NewWebSocketExecutor(c.Config, "GET", c.target(pod, container).String())
	if err != nil {
		return err
	}
	return executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: input})
}

// stream tries the WebSocket, then SPDY.
func (c Client) stream(ctx context.Context, pod, container string, input *countedReader) error {
	refusal := c.webSocket(ctx, pod, container, input)
	if !httpstream.IsUpgradeFailure(refusal) && !httpstream.IsHTTPSProxyError(refusal) {
		return refusal
	}
	spdy, err := remotecommand.NewSPDYExecutor(c.Config, "POST", c.target(pod, container))
	if err != nil {
		return err
	}
	err = spdy.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: input})
	// The SPDY client keeps only the text of the API server's answer.
	status, known := errors.AsType[*apierrors.StatusError](upgradeCause(refusal))
	if err != nil && known && input.untouched() {
		return status
	}
	return err
}

// upgradeCause uncovers the API server's answer in a failed upgrade.
func upgradeCause(err error) error {
	if upgrade, ok := errors.AsType[*httpstream.UpgradeFailureError](err); ok && upgrade.Cause != nil {
		return upgrade.Cause
	}
	return err
}

// countedReader counts what is read and notes how reading ended. Once closed it
// reads no more: the executor's copying goroutine may outlive the call.
type countedReader struct {
	mu       sync.Mutex
	source   io.Reader
	count    int64
	complete bool  // the source has ended
	failure  error // the source has failed
	closed   bool
}

// Read implements io.Reader.
func (r *countedReader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return 0, io.EOF
	}
	n, err := r.source.Read(p)
	r.count += int64(n)
	switch {
	case errors.Is(err, errHeld):
		return 0, io.EOF
	case err == io.EOF:
		r.complete = true
	default:
		r.failure = err
	}
	return n, err
}

// untouched reports whether nothing was read yet.
func (r *countedReader) untouched() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count == 0 && !r.complete && r.failure == nil
}

// close ends reading and returns the bytes read, whether that was all, and the
// error of the source if it failed.
func (r *countedReader) close() (count int64, complete bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	return r.count, r.complete, r.failure
}
