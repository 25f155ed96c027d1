package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/rest"
)

// client speaks with an API server. Each API group has a path, and so a REST client, of
// its own; their connections are shared.
type client struct {
	core, batch, rbac, authorization rest.Interface
	codec                            runtime.ParameterCodec
}

// New returns a client of the API server that config names.
func New(config *rest.Config) (Interface, error) {
	connection, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	scheme := NewScheme()
	c := client{codec: runtime.NewParameterCodec(scheme)}
	for group, to := range map[schema.GroupVersion]*rest.Interface{
		corev1.SchemeGroupVersion:          &c.core,
		batchv1.SchemeGroupVersion:         &c.batch,
		rbacv1.SchemeGroupVersion:          &c.rbac,
		authorizationv1.SchemeGroupVersion: &c.authorization,
	} {
		if *to, err = groupClient(config, group, scheme, connection); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// groupClient is the REST client of one API group.
func groupClient(config *rest.Config, group schema.GroupVersion, scheme *runtime.Scheme, connection *http.Client) (rest.Interface, error) {
	own := rest.CopyConfig(config)
	own.GroupVersion = &group
	own.APIPath = "/apis"
	if group.Group == "" {
		own.APIPath = "/api"
	}
	own.NegotiatedSerializer = rest.CodecFactoryForGeneratedClient(scheme, serializer.NewCodecFactory(scheme)).WithoutConversion()
	if own.UserAgent == "" {
		own.UserAgent = rest.DefaultKubernetesUserAgent()
	}
	return rest.RESTClientForConfigAndClient(own, connection)
}

// Pods implements Interface.
func (c client) Pods(namespace string) Objects[corev1.Pod, corev1.PodList] {
	return newObjects[corev1.Pod, corev1.PodList](c.core, c.codec, namespace, "pods")
}

// Jobs implements Interface.
func (c client) Jobs(namespace string) Objects[batchv1.Job, batchv1.JobList] {
	return newObjects[batchv1.Job, batchv1.JobList](c.batch, c.codec, namespace, "jobs")
}

// Secrets implements Interface.
func (c client) Secrets(namespace string) Objects[corev1.Secret, corev1.SecretList] {
	return newObjects[corev1.Secret, corev1.SecretList](c.core, c.codec, namespace, "secrets")
}

// ConfigMaps implements Interface.
func (c client) ConfigMaps(namespace string) Objects[corev1.ConfigMap, corev1.ConfigMapList] {
	return newObjects[corev1.ConfigMap, corev1.ConfigMapList](c.core, c.codec, namespace, "configmaps")
}

// Events implements Interface.
func (c client) Events(namespace string) Objects[corev1.Event, corev1.EventList] {
	return newObjects[corev1.Event, corev1.EventList](c.core, c.codec, namespace, "events")
}

// ServiceAccounts implements Interface.
func (c client) ServiceAccounts(namespace string) Objects[corev1.ServiceAccount, corev1.ServiceAccountList] {
	return newObjects[corev1.ServiceAccount, corev1.ServiceAccountList](c.core, c.codec, namespace, "serviceaccounts")
}

// Roles implements Interface.
func (c client) Roles(namespace string) Objects[rbacv1.Role, rbacv1.RoleList] {
	return newObjects[rbacv1.Role, rbacv1.RoleList](c.rbac, c.codec, namespace, "roles")
}

// RoleBindings implements Interface.
func (c client) RoleBindings(namespace string) Objects[rbacv1.RoleBinding, rbacv1.RoleBindingList] {
	return newObjects[rbacv1.RoleBinding, rbacv1.RoleBindingList](c.rbac, c.codec, namespace, "rolebindings")
}

// Nodes implements Interface.
func (c client) Nodes() Objects[corev1.Node, corev1.NodeList] {
	return newObjects[corev1.Node, corev1.NodeList](c.core, c.codec, "", "nodes")
}

// SelfSubjectAccessReviews implements Interface.
func (c client) SelfSubjectAccessReviews() Creator[authorizationv1.SelfSubjectAccessReview] {
	return newCreator[authorizationv1.SelfSubjectAccessReview](c.authorization, c.codec, "", "selfsubjectaccessreviews")
}

// SubjectAccessReviews implements Interface.
func (c client) SubjectAccessReviews() Creator[authorizationv1.SubjectAccessReview] {
	return newCreator[authorizationv1.SubjectAccessReview](c.authorization, c.codec, "", "subjectaccessreviews")
}

// PodLog implements Interface.
func (c client) PodLog(ctx context.Context, namespace, pod string, options *corev1.PodLogOptions) (io.ReadCloser, error) {
	return c.core.Get().Namespace(namespace).Resource("pods").Name(pod).SubResource("log").
		VersionedParams(options, c.codec).Stream(ctx)
}

// AttachURL implements Interface.
func (c client) AttachURL(namespace, pod string, options *corev1.PodAttachOptions) *url.URL {
	return c.core.Post().Namespace(namespace).Resource("pods").Name(pod).SubResource("attach").
		VersionedParams(options, c.codec).URL()
}

// versionTimeout bounds the question for the API server's release.
const versionTimeout = 30 * time.Second

// ServerVersion implements Interface.
func (c client) ServerVersion() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), versionTimeout)
	defer cancel()
	data, err := c.Raw(ctx, "/version")
	if err != nil {
		return "", err
	}
	var release version.Info
	if err := json.Unmarshal(data, &release); err != nil {
		return "", fmt.Errorf("read the API server's release: %w", err)
	}
	return release.GitVersion, nil
}

// Raw implements Interface.
func (c client) Raw(ctx context.Context, path string) ([]byte, error) {
	return c.core.Get().AbsPath(path).Do(ctx).Raw()
}
