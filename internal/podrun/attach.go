package podrun

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/remotecommand"
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
	did := call{"attach", "pods", pod}
	input := &countedReader{source: stdin}
	err := c.stream(ctx, pod, container, input)
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

// stream tries the WebSocket, then SPDY.
func (c Client) stream(ctx context.Context, pod, container string, input *countedReader) error {
	target := c.Kube.AttachURL(c.Namespace, pod, &corev1.PodAttachOptions{Container: container, Stdin: true})
	options := remotecommand.StreamOptions{Stdin: input}
	// A WebSocket upgrade is a GET by its standard (RFC 6455, section 4.1).
	webSocket, err := remotecommand.NewWebSocketExecutor(c.Config, "GET", target.String())
	if err != nil {
		return err
	}
	refusal := webSocket.StreamWithContext(ctx, options)
	if !httpstream.IsUpgradeFailure(refusal) && !httpstream.IsHTTPSProxyError(refusal) {
		return refusal
	}
	spdy, err := remotecommand.NewSPDYExecutor(c.Config, "POST", target)
	if err != nil {
		return err
	}
	err = spdy.StreamWithContext(ctx, options)
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
	if err == io.EOF {
		r.complete = true
	} else {
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
