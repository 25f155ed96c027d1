package kube

import (
	"context"
	"io"
	"net/url"

	authorizationv1 "k8s.io/api/authorization/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

// Interface is the API of a cluster. It is safe for concurrent use.
type Interface interface {
	Pods(namespace string) Objects[corev1.Pod, corev1.PodList]
	Jobs(namespace string) Objects[batchv1.Job, batchv1.JobList]
	Secrets(namespace string) Objects[corev1.Secret, corev1.SecretList]
	ConfigMaps(namespace string) Objects[corev1.ConfigMap, corev1.ConfigMapList]
	Events(namespace string) Objects[corev1.Event, corev1.EventList]
	ServiceAccounts(namespace string) Objects[corev1.ServiceAccount, corev1.ServiceAccountList]
	Roles(namespace string) Objects[rbacv1.Role, rbacv1.RoleList]
	RoleBindings(namespace string) Objects[rbacv1.RoleBinding, rbacv1.RoleBindingList]
	Nodes() Objects[corev1.Node, corev1.NodeList]

	// SelfSubjectAccessReviews ask what the client itself may do, and
	// SubjectAccessReviews what another may.
	SelfSubjectAccessReviews() Creator[authorizationv1.SelfSubjectAccessReview]
	SubjectAccessReviews() Creator[authorizationv1.SubjectAccessReview]

	// PodLog opens the log of a pod's container. The caller closes it.
	PodLog(ctx context.Context, namespace, pod string, options *corev1.PodLogOptions) (io.ReadCloser, error)
	// AttachURL is where a container's streams are attached to.
	AttachURL(namespace, pod string, options *corev1.PodAttachOptions) *url.URL
	// ServerVersion is the release of the API server, as in v1.33.1. It ends within half
	// a minute.
	ServerVersion() (string, error)
	// Raw reads a path of the API, as in /apis/GROUP/VERSION/namespaces/NAME/RESOURCE, as
	// JSON: for kinds whose types are not linked in.
	Raw(ctx context.Context, path string) ([]byte, error)
}

// Objects are the objects of one kind, in one namespace where the kind has any: T is the
// kind and L its list. The methods are those of client-go's typed clients.
type Objects[T, L any] interface {
	Creator[T]
	Get(ctx context.Context, name string, options metav1.GetOptions) (*T, error)
	List(ctx context.Context, options metav1.ListOptions) (*L, error)
	Watch(ctx context.Context, options metav1.ListOptions) (watch.Interface, error)
	Patch(ctx context.Context, name string, kind types.PatchType, patch []byte, options metav1.PatchOptions) (*T, error)
	Delete(ctx context.Context, name string, options metav1.DeleteOptions) error
}

// Creator makes objects of one kind.
type Creator[T any] interface {
	Create(ctx context.Context, object *T, options metav1.CreateOptions) (*T, error)
}
