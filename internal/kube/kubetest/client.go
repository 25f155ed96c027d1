// Package kubetest is an API server's stand-in for tests of what calls kube.Interface:
// objects in memory, and reactors that answer in their place. It checks and completes
// nothing, deletes at once and without preconditions, and sets no UID. Package podtest has
// a cluster that behaves.
package kubetest

import (
	"context"
	"io"
	"net/url"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"
	clienttesting "k8s.io/client-go/testing"

	"kiln/internal/kube"
)

// Client is a kube.Interface whose calls become the actions of client-go's testing
// package. PrependReactor puts an answer before that of the objects in memory, and
// Actions tells what was asked.
type Client struct {
	clienttesting.Fake
	tracker clienttesting.ObjectTracker
}

// New returns a client of a cluster that has just these objects.
func New(objects ...runtime.Object) *Client {
	scheme := kube.NewScheme()
	c := &Client{tracker: clienttesting.NewObjectTracker(scheme, serializer.NewCodecFactory(scheme).UniversalDecoder())}
	for _, o := range objects {
		if err := c.tracker.Add(o); err != nil {
			panic(err) // the test's own mistake
		}
	}
	c.AddReactor("*", "*", clienttesting.ObjectReaction(c.tracker))
	c.AddWatchReactor("*", func(action clienttesting.Action) (bool, watch.Interface, error) {
		var options metav1.ListOptions
		if watching, ok := action.(clienttesting.WatchActionImpl); ok {
			options = watching.ListOptions
		}
		w, err := c.tracker.Watch(action.GetResource(), action.GetNamespace(), options)
		return err == nil, w, err
	})
	return c
}

// Tracker has the objects in memory, to change them past all reactors.
func (c *Client) Tracker() clienttesting.ObjectTracker { return c.tracker }

// in names a resource and its kind.
func in(group schema.GroupVersion, resource, kind string) (schema.GroupVersionResource, schema.GroupVersionKind) {
	return group.WithResource(resource), group.WithKind(kind)
}

// Pods implements kube.Interface.
func (c *Client) Pods(namespace string) kube.Objects[corev1.Pod, corev1.PodList] {
	resource, kind := in(corev1.SchemeGroupVersion, "pods", "Pod")
	return newObjects[corev1.Pod, corev1.PodList](&c.Fake, namespace, resource, kind)
}

// Jobs implements kube.Interface.
func (c *Client) Jobs(namespace string) kube.Objects[batchv1.Job, batchv1.JobList] {
	resource, kind := in(batchv1.SchemeGroupVersion, "jobs", "Job")
	return newObjects[batchv1.Job, batchv1.JobList](&c.Fake, namespace, resource, kind)
}

// Secrets implements kube.Interface.
func (c *Client) Secrets(namespace string) kube.Objects[corev1.Secret, corev1.SecretList] {
	resource, kind := in(corev1.SchemeGroupVersion, "secrets", "Secret")
	return newObjects[corev1.Secret, corev1.SecretList](&c.Fake, namespace, resource, kind)
}

// ConfigMaps implements kube.Interface.
func (c *Client) ConfigMaps(namespace string) kube.Objects[corev1.ConfigMap, corev1.ConfigMapList] {
	resource, kind := in(corev1.SchemeGroupVersion, "configmaps", "ConfigMap")
	return newObjects[corev1.ConfigMap, corev1.ConfigMapList](&c.Fake, namespace, resource, kind)
}

// Events implements kube.Interface.
func (c *Client) Events(namespace string) kube.Objects[corev1.Event, corev1.EventList] {
	resource, kind := in(corev1.SchemeGroupVersion, "events", "Event")
	return newObjects[corev1.Event, corev1.EventList](&c.Fake, namespace, resource, kind)
}

// ServiceAccounts implements kube.Interface.
func (c *Client) ServiceAccounts(namespace string) kube.Objects[corev1.ServiceAccount, corev1.ServiceAccountList] {
	resource, kind := in(corev1.SchemeGroupVersion, "serviceaccounts", "ServiceAccount")
	return newObjects[corev1.ServiceAccount, corev1.ServiceAccountList](&c.Fake, namespace, resource, kind)
}

// Roles implements kube.Interface.
func (c *Client) Roles(namespace string) kube.Objects[rbacv1.Role, rbacv1.RoleList] {
	resource, kind := in(rbacv1.SchemeGroupVersion, "roles", "Role")
	return newObjects[rbacv1.Role, rbacv1.RoleList](&c.Fake, namespace, resource, kind)
}

// RoleBindings implements kube.Interface.
func (c *Client) RoleBindings(namespace string) kube.Objects[rbacv1.RoleBinding, rbacv1.RoleBindingList] {
	resource, kind := in(rbacv1.SchemeGroupVersion, "rolebindings", "RoleBinding")
	return newObjects[rbacv1.RoleBinding, rbacv1.RoleBindingList](&c.Fake, namespace, resource, kind)
}

// Nodes implements kube.Interface.
func (c *Client) Nodes() kube.Objects[corev1.Node, corev1.NodeList] {
	resource, kind := in(corev1.SchemeGroupVersion, "nodes", "Node")
	return newObjects[corev1.Node, corev1.NodeList](&c.Fake, "", resource, kind)
}

// SelfSubjectAccessReviews implements kube.Interface.
func (c *Client) SelfSubjectAccessReviews() kube.Creator[authorizationv1.SelfSubjectAccessReview] {
	resource, kind := in(authorizationv1.SchemeGroupVersion, "selfsubjectaccessreviews", "SelfSubjectAccessReview")
	return newCreator[authorizationv1.SelfSubjectAccessReview](&c.Fake, "", resource, kind)
}

// SubjectAccessReviews implements kube.Interface.
func (c *Client) SubjectAccessReviews() kube.Creator[authorizationv1.SubjectAccessReview] {
	resource, kind := in(authorizationv1.SchemeGroupVersion, "subjectaccessreviews", "SubjectAccessReview")
	return newCreator[authorizationv1.SubjectAccessReview](&c.Fake, "", resource, kind)
}

// PodLog implements kube.Interface with one log for all containers.
func (*Client) PodLog(context.Context, string, string, *corev1.PodLogOptions) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader("fake logs")), nil
}

// AttachURL implements kube.Interface with an address where nothing is.
func (*Client) AttachURL(string, string, *corev1.PodAttachOptions) *url.URL { return &url.URL{} }

// ServerVersion implements kube.Interface.
func (*Client) ServerVersion() (string, error) { return "v0.0.0-master+$Format:%H$", nil }

// Raw implements kube.Interface: nothing is there.
func (*Client) Raw(context.Context, string) ([]byte, error) {
	return nil, apierrors.NewNotFound(schema.GroupResource{}, "")
}
