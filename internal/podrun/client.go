package podrun

import (
	"context"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"kiln/internal/failure"
	"kiln/internal/kube"
)

// ErrGone says that the pod does not exist, or that another pod has its name.
var ErrGone error = failure.New(failure.NodeLost, "pod is gone")

// Client does kiln's pod work in one namespace. All methods are safe for
// concurrent use and end when their context does, but for those that create.
type Client struct {
	// Kube talks to the API server.
	Kube kube.Interface
	// Config is what Kube was made from; Attach opens its own connections.
	Config *rest.Config
	// Namespace holds every object the client touches.
	Namespace string

	// watches are shared by the copies of a client; nil shares none.
	watches *watches
}

// NewClient returns a client for one namespace. It works on a copy of cfg with
// client-go's own rate limit off: the API server's fairness is the limit, and
// five requests a second would delay short steps.
func NewClient(cfg *rest.Config, namespace string) (Client, error) {
	own := rest.CopyConfig(cfg)
	own.QPS = -1
	cluster, err := kube.New(own)
	if err != nil {
		return Client{}, fmt.Errorf("make kubernetes client for %s: %w", cfg.Host, err)
	}
	return Client{Kube: cluster, Config: own, Namespace: namespace, watches: &watches{of: map[string]*sharedWatch{}}}, nil
}

// Pod reads one pod. A missing pod is ErrGone.
func (c Client) Pod(ctx context.Context, name string) (*corev1.Pod, error) {
	pod, err := c.Kube.Pods(c.Namespace).Get(ctx, name, metav1.GetOptions{})
	return pod, c.refused(call{"get", "pods", name}, err)
}

// createTimeout bounds a create request, which does not end with its caller's
// context. Admission webhooks may take ten seconds each by default.
const createTimeout = 20 * time.Second

// detached returns the context of a create request. A request that is broken off
// may create the object all the same, and then nobody knows that it has to be
// deleted: so what was begun is seen through, and nothing begins after ctx ended.
func detached(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), createTimeout)
	return ctx, cancel, nil
}

// CreatePod creates a pod and returns it as stored. The error wraps the API's
// own, so apierrors.IsAlreadyExists works on it; a refusal says which right,
// label or quota is in the way. A ctx that ends meanwhile does not interrupt it:
// unless Refused says so of the error, the pod is or may be there and is the
// caller's to delete.
func (c Client) CreatePod(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	ctx, cancel, err := detached(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	made, err := c.Kube.Pods(c.Namespace).Create(ctx, pod, metav1.CreateOptions{})
	return made, c.refused(call{"create", "pods", pod.Name}, err)
}

// CreateJob creates a Job; errors and ctx are those of CreatePod. Quota and Pod
// Security refuse the Job's pod later, which only the Job's events show.
func (c Client) CreateJob(ctx context.Context, job *batchv1.Job) (*batchv1.Job, error) {
	ctx, cancel, err := detached(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	made, err := c.Kube.Jobs(c.Namespace).Create(ctx, job, metav1.CreateOptions{})
	return made, c.refused(call{"create", "jobs", job.Name}, err)
}

// CreateSecret creates a Secret and returns which object it is; errors and ctx
// are those of CreatePod. Errors hold no value of the Secret.
func (c Client) CreateSecret(ctx context.Context, secret *corev1.Secret) (Object, error) {
	ctx, cancel, err := detached(ctx)
	if err != nil {
		return Object{}, err
	}
	defer cancel()
	made, err := c.Kube.Secrets(c.Namespace).Create(ctx, secret, metav1.CreateOptions{})
	if err != nil {
		return Object{Name: secret.Name}, c.refused(call{"create", "secrets", secret.Name}, err)
	}
	return Object{Name: secret.Name, UID: made.UID}, nil
}

// Events lists the events about the object of that kind and name ("Pod", "Job").
// Reading events is an optional right: without it, or without an answer, there
// are none.
func (c Client) Events(ctx context.Context, kind, name string) []corev1.Event {
	list, err := c.Kube.Events(c.Namespace).List(ctx, metav1.ListOptions{
		FieldSelector: "involvedObject.kind=" + kind + ",involvedObject.name=" + name,
	})
	if err != nil {
		return nil
	}
	return list.Items
}
