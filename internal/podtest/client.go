package podtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	"kiln/internal/failure"
	"kiln/internal/podrun"
)

// Client is a [podrun.Client] of a cluster. All its methods but Attach and
// Knock are the product's.
type Client struct {
	podrun.Client
	cluster   *Cluster
	transport *transport
}

// Client returns a client with faults of its own; nil has none.
func (c *Cluster) Client(t testing.TB, faults Faults) Client {
	t.Helper()
	carrier := newTransport(c, faults, CallOf)
	client, err := podrun.NewClient(&rest.Config{
		Host: "http://cluster", Transport: carrier,
		ContentConfig: rest.ContentConfig{ContentType: "application/json", AcceptContentTypes: "application/json"},
	}, c.Namespace)
	if err != nil {
		t.Fatal(err)
	}
	return Client{Client: client, cluster: c, transport: carrier}
}

// Calls returns how many calls with that Op the client has made.
func (c Client) Calls(op string) int {
	c.transport.mu.Lock()
	defer c.transport.mu.Unlock()
	return c.transport.counts[op]
}

// CallOf tells what a request to the API server asks for; its Count is 0, and the Name of
// what is created is not known.
func CallOf(r *http.Request) Call {
	// /api/v1/namespaces/NS/RESOURCE/NAME/SUBRESOURCE, or /apis/batch/v1/namespaces/…
	_, path, _ := strings.Cut(r.URL.Path, "/namespaces/")
	parts := append(strings.Split(path, "/"), "", "", "")
	resource, name := parts[1], parts[2]
	if parts[3] != "" {
		resource += "/" + parts[3]
	}
	query := r.URL.Query()
	verb := ""
	switch {
	case r.Method == http.MethodPost && query.Get("dryRun") != "":
		verb = "try"
	case r.Method == http.MethodPost:
		verb = "create"
	case r.Method == http.MethodPatch:
		verb = "patch"
	case r.Method == http.MethodDelete:
		verb = "delete"
	case name != "":
		verb = "get"
	case query.Get("watch") == "true":
		verb = "watch"
	default:
		verb = "list"
	}
	if name == "" {
		selector := query.Get("fieldSelector") + query.Get("labelSelector")
		name = selector[strings.LastIndexByte(selector, '=')+1:]
	}
	return Call{Op: strings.TrimSpace(verb + " " + resource), Name: name}
}

// Attach sends stdin to a container as [podrun.Client.Attach] does: it returns when
// all of it has arrived, and an error where that is not certain. Faults cut it off or
// keep it from ending, see [Fault].
func (c Client) Attach(ctx context.Context, pod, container string, stdin io.Reader) error {
	fault := c.transport.ask(Call{Op: "attach pods", Name: pod})
	if err := ctx.Err(); err != nil {
		return err
	}
	if fault.fails() && !fault.Happened && fault.Cut == 0 {
		return c.notAttached(ctx, pod, fault)
	}
	life, err := c.cluster.attach(pod, container)
	if err != nil {
		return c.notAttached(ctx, pod, Fault{Err: err})
	}
	source := stdin
	if fault.Cut > 0 {
		source = io.LimitReader(stdin, fault.Cut)
	}
	var sent bytes.Buffer
	_, readErr := io.Copy(&sent, source)
	life.receive(container, sent.Bytes())
	if fault.Silent {
		<-ctx.Done()
	}
	life.finish(container)
	switch {
	case readErr != nil:
		return fmt.Errorf("attach to pod %s/%s: read input after %d bytes: %w", c.Namespace, pod, sent.Len(), readErr)
	case ctx.Err() != nil:
		return failure.New(failure.ContextTransport, "attach to pod %s/%s: connection lost after %d bytes: %w", c.Namespace, pod, sent.Len(), ctx.Err())
	case fault.Err != nil || fault.Cut > 0:
		return failure.New(failure.ContextTransport, "attach to pod %s/%s: connection lost after %d bytes: %w", c.Namespace, pod, sent.Len(), errors.Join(fault.Err, ErrBroken))
	}
	return nil
}

// Knock sends stdin to a container as [podrun.Client.Knock] does. Faults are those of
// Attach; a container that does not run meets none.
func (c Client) Knock(ctx context.Context, pod, container string, stdin io.Reader) error {
	if !c.cluster.takesInput(pod, container) {
		return fmt.Errorf("attach to pod %s/%s: %w", c.Namespace, pod, podrun.ErrNotYet)
	}
	return c.Attach(ctx, pod, container, stdin)
}

// takesInput reports whether a container runs whose standard input nobody has opened.
func (c *Cluster) takesInput(name, container string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	pod, ok := c.objects[key{"pods", name}].(*corev1.Pod)
	if !ok || !podrun.Running(pod, container) {
		return false
	}
	in := c.lives[pod.UID].inputs[container]
	return in != nil && !in.attached
}

// notAttached is the error of an attach of which nothing was read.
func (c Client) notAttached(ctx context.Context, pod string, fault Fault) error {
	err := fault.Err
	if fault.Silent {
		err = unanswered(ctx)
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, podrun.ErrGone) {
		return fmt.Errorf("attach pods %s/%s: %w", c.Namespace, pod, err)
	}
	reason := failure.ClusterUnreachable
	if podrun.Refused(err) {
		reason = failure.AdmissionRefused
	}
	return failure.New(reason, "attach pods %s/%s: %w", c.Namespace, pod, err)
}

// attach opens the standard input of a running container: once, as stdinOnce wants.
func (c *Cluster) attach(name, container string) (*Life, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	pod, ok := c.objects[key{"pods", name}].(*corev1.Pod)
	if !ok {
		return nil, podrun.ErrGone
	}
	life := c.lives[pod.UID]
	in := life.inputs[container]
	switch {
	case in == nil:
		return nil, badRequest("container " + container + " not found in pod " + name)
	case !podrun.Running(pod, container):
		return nil, badRequest("container " + container + " is not running")
	case in.attached:
		return nil, badRequest("the standard input of container " + container + " was closed by the attach before")
	}
	in.attached = true
	return life, nil
}

// receive takes what was sent to a container.
func (l *Life) receive(container string, data []byte) {
	l.cluster.mu.Lock()
	defer l.cluster.mu.Unlock()
	l.inputs[container].data = data
}

// finish ends a container's input.
func (l *Life) finish(container string) { close(l.inputs[container].closed) }
