package kube

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
)

// pointer is the pointer to a kind, by which the API machinery knows it.
type pointer[T any] interface {
	*T
	runtime.Object
}

// creator implements Creator.
type creator[T any, P pointer[T]] struct {
	client              rest.Interface
	codec               runtime.ParameterCodec
	namespace, resource string
}

// newCreator returns the creator of a resource; without a namespace where it has none.
func newCreator[T any, P pointer[T]](client rest.Interface, codec runtime.ParameterCodec, namespace, resource string) creator[T, P] {
	return creator[T, P]{client: client, codec: codec, namespace: namespace, resource: resource}
}

// of completes a request with the resource. Objects travel as protobuf unless the
// configuration says otherwise, as with client-go's own clients.
func (c creator[T, P]) of(request *rest.Request) *rest.Request {
	return request.UseProtobufAsDefault().NamespaceIfScoped(c.namespace, c.namespace != "").Resource(c.resource)
}

// Create implements Creator.
func (c creator[T, P]) Create(ctx context.Context, object *T, options metav1.CreateOptions) (*T, error) {
	made := new(T)
	err := c.of(c.client.Post()).VersionedParams(&options, c.codec).Body(P(object)).Do(ctx).Into(P(made))
	return made, err
}

// objects implements Objects.
type objects[T, L any, P pointer[T], PL pointer[L]] struct {
	creator[T, P]
}

// newObjects returns the objects of a resource; without a namespace where it has none.
func newObjects[T, L any, P pointer[T], PL pointer[L]](client rest.Interface, codec runtime.ParameterCodec, namespace, resource string) objects[T, L, P, PL] {
	return objects[T, L, P, PL]{newCreator[T, P](client, codec, namespace, resource)}
}

// Get implements Objects.
func (o objects[T, L, P, PL]) Get(ctx context.Context, name string, options metav1.GetOptions) (*T, error) {
	found := new(T)
	err := o.of(o.client.Get()).Name(name).VersionedParams(&options, o.codec).Do(ctx).Into(P(found))
	return found, err
}

// List implements Objects.
func (o objects[T, L, P, PL]) List(ctx context.Context, options metav1.ListOptions) (*L, error) {
	list := new(L)
	err := o.of(o.client.Get()).VersionedParams(&options, o.codec).Timeout(timeoutOf(options)).Do(ctx).Into(PL(list))
	return list, err
}

// Watch implements Objects.
func (o objects[T, L, P, PL]) Watch(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	options.Watch = true
	return o.of(o.client.Get()).VersionedParams(&options, o.codec).Timeout(timeoutOf(options)).Watch(ctx)
}

// Patch implements Objects.
func (o objects[T, L, P, PL]) Patch(ctx context.Context, name string, kind types.PatchType, patch []byte, options metav1.PatchOptions) (*T, error) {
	patched := new(T)
	err := o.of(o.client.Patch(kind)).Name(name).VersionedParams(&options, o.codec).Body(patch).Do(ctx).Into(P(patched))
	return patched, err
}

// Delete implements Objects.
func (o objects[T, L, P, PL]) Delete(ctx context.Context, name string, options metav1.DeleteOptions) error {
	return o.of(o.client.Delete()).Name(name).Body(&options).Do(ctx).Error()
}

// timeoutOf is how long the server may take, or zero.
func timeoutOf(options metav1.ListOptions) time.Duration {
	if options.TimeoutSeconds == nil {
		return 0
	}
	return time.Duration(*options.TimeoutSeconds) * time.Second
}
