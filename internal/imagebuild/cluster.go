package imagebuild

import (
	"context"
	"io"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kiln/internal/podlog"
	"kiln/internal/podrun"
	"kiln/internal/registry"
)

// Pods is what builds need of the cluster, as [podrun.Client] does it.
type Pods interface {
	// The lock: who creates the pod of a name builds.
	CreatePod(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error)
	QuotaFull(err error) (reason string, never bool)
	Admitted(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error)
	Delete(ctx context.Context, pod string, grace int64, only *metav1.Preconditions) error
	WaitGone(ctx context.Context, pod string, uid types.UID) error

	// A pod's life.
	Pod(ctx context.Context, name string) (*corev1.Pod, error)
	Watch(ctx context.Context, pod string, onChange podrun.OnChange) error
	Attach(ctx context.Context, pod, container string, stdin io.Reader) error
	Knock(ctx context.Context, pod, container string, stdin io.Reader) error
	Follow(ctx context.Context, pod, container string, sink func(line []byte) error) error
	FollowFrom(ctx context.Context, pod, container string, from podlog.Position, sink podlog.Sink) error
	Events(ctx context.Context, kind, name string) []corev1.Event

	// Whom a pod goes with.
	AddOwner(ctx context.Context, pod string, uid types.UID, owner metav1.OwnerReference) error
	Release(ctx context.Context, pod string, uid, owner types.UID) error
	PodsWith(ctx context.Context, label, value string) ([]corev1.Pod, error)
	CreateJob(ctx context.Context, job *batchv1.Job) (*batchv1.Job, error)
	DeleteJob(ctx context.Context, job podrun.Object, mark podrun.Mark, grace int64) error

	// ServerVersion is the cluster's release.
	ServerVersion() (string, error)
}

// Registry looks images up and pushes, as [registry.Client] does.
type Registry interface {
	Resolve(ctx context.Context, reference string) (string, error)
	Base(ctx context.Context, reference, digest, arch string) (registry.Base, error)
	Image(ctx context.Context, reference string) (registry.Image, error)

	// What is put together here: parts are read as they are, and pushed.
	Original(ctx context.Context, reference, digest string) (registry.Original, error)
	Pushed(ctx context.Context, reference string, configuration bool) (registry.Original, error)
	Open(ctx context.Context, of *registry.Original, blob registry.Blob) (io.ReadCloser, error)
	Read(ctx context.Context, of *registry.Original, blob registry.Blob, to func() io.Writer) error
	Copy(ctx context.Context, repository string, of *registry.Original, layer registry.Blob, watch func() io.Writer) (streamed bool, err error)
	Upload(ctx context.Context, repository string, blob registry.Blob, open func() (io.ReadCloser, error)) error
	PutManifest(ctx context.Context, reference, mediaType string, manifest []byte) error
}
