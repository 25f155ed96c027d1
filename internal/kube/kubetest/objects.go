package kubetest

import (
	"context"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/gentype"
	clienttesting "k8s.io/client-go/testing"
)

// pointer is the pointer to a kind, which is the object.
type pointer[T any] interface {
	*T
	runtime.Object
	metav1.Object
}

// listPointer is the pointer to a kind's list.
type listPointer[L any] interface {
	*L
	runtime.Object
}

// newCreator returns client-go's fake client of a resource, which has no lists.
func newCreator[T any, P pointer[T]](
	fake *clienttesting.Fake, namespace string, resource schema.GroupVersionResource, kind schema.GroupVersionKind,
) *gentype.FakeClient[P] {
	return gentype.NewFakeClient(fake, namespace, resource, kind, func() P { return new(T) })
}

// objects implements kube.Objects.
type objects[T, L any, P pointer[T], PL listPointer[L]] struct {
	*gentype.FakeClient[P]
}

// newObjects returns the fake client of a resource.
func newObjects[T, L any, P pointer[T], PL listPointer[L]](
	fake *clienttesting.Fake, namespace string, resource schema.GroupVersionResource, kind schema.GroupVersionKind,
) objects[T, L, P, PL] {
	return objects[T, L, P, PL]{newCreator[T, P](fake, namespace, resource, kind)}
}

// Patch implements kube.Objects.
func (o objects[T, L, P, PL]) Patch(ctx context.Context, name string, kind types.PatchType, patch []byte, options metav1.PatchOptions) (*T, error) {
	return o.FakeClient.Patch(ctx, name, kind, patch, options)
}

// List implements kube.Objects. Objects are selected by their labels alone.
func (o objects[T, L, P, PL]) List(_ context.Context, options metav1.ListOptions) (*L, error) {
	selector, err := labels.Parse(options.LabelSelector)
	if err != nil {
		return new(L), err
	}
	found, err := o.Invokes(clienttesting.NewListActionWithOptions(o.Resource(), o.Kind(), o.Namespace(), options), PL(new(L)))
	if found == nil || err != nil {
		return new(L), err
	}
	all, err := meta.ExtractList(found)
	if err != nil {
		return new(L), err
	}
	var selected []runtime.Object
	for _, one := range all {
		if object, ok := one.(metav1.Object); ok && selector.Matches(labels.Set(object.GetLabels())) {
			selected = append(selected, one)
		}
	}
	result := found.DeepCopyObject()
	if err := meta.SetList(result, selected); err != nil {
		return new(L), err
	}
	return (*L)(result.(PL)), nil
}
