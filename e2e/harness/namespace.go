package harness

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// PullSecret is the name of the registry Secret in a namespace of [Cluster.Namespace].
const PullSecret = "kiln-registry"

// ownLabel marks what this package creates, to tell it from what kiln leaves.
const ownLabel = "kiln-harness"

// Namespace makes sure of a [Cluster.BareNamespace] that has the service
// account and Role of manifests/rbac.yaml besides.
func (c *Cluster) Namespace(ctx context.Context, name string) error {
	if err := c.BareNamespace(ctx, name); err != nil {
		return err
	}
	return c.rights(ctx, name)
}

// BareNamespace makes sure of a namespace that enforces the Pod Security level
// baseline and holds the Secret of the registry that wants basic auth.
func (c *Cluster) BareNamespace(ctx context.Context, name string) error {
	if err := c.enforcing(ctx, name, "baseline"); err != nil {
		return err
	}
	if c.AuthRegistry == "" {
		return nil
	}
	return c.RegistrySecret(ctx, name, PullSecret, c.AuthUser, c.AuthPassword)
}

// PrivilegedNamespace makes sure of a namespace that takes any pod.
func (c *Cluster) PrivilegedNamespace(ctx context.Context, name string) error {
	return c.enforcing(ctx, name, "privileged")
}

// enforcing makes sure of a namespace that enforces a Pod Security level.
func (c *Cluster) enforcing(ctx context.Context, name, level string) error {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
		ownLabel:                             "true",
		"pod-security.kubernetes.io/enforce": level,
	}}}
	_, err := c.Kube.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{})
	if err := ifNew(err); err != nil {
		return fmt.Errorf("create namespace %s: %w", name, err)
	}
	return nil
}

// RegistrySecret makes sure of a Secret with credentials for the registry that
// wants basic auth.
func (c *Cluster) RegistrySecret(ctx context.Context, namespace, name, user, password string) error {
	secret := registrySecret(c.AuthRegistry, user, password)
	secret.Name = name
	_, err := c.Kube.CoreV1().Secrets(namespace).Create(ctx, secret, metav1.CreateOptions{})
	if err := ifNew(err); err != nil {
		return fmt.Errorf("create registry secret: %w", err)
	}
	return nil
}

// rights creates the objects of manifests/rbac.yaml in the namespace.
func (c *Cluster) rights(ctx context.Context, namespace string) error {
	data, err := os.ReadFile(filepath.Join(c.Root, "manifests", "rbac.yaml"))
	if err != nil {
		return fmt.Errorf("read rights: %w", err)
	}
	for doc := range strings.SplitSeq(string(data), "\n---\n") {
		if err := c.createRight(ctx, namespace, []byte(doc)); err != nil {
			return fmt.Errorf("create rights of manifests/rbac.yaml: %w", err)
		}
	}
	return nil
}

func (c *Cluster) createRight(ctx context.Context, namespace string, doc []byte) error {
	var kind metav1.TypeMeta
	if err := yaml.Unmarshal(doc, &kind); err != nil {
		return err
	}
	var err error
	switch kind.Kind {
	case "ServiceAccount":
		var o corev1.ServiceAccount
		if err = yaml.UnmarshalStrict(doc, &o); err == nil {
			_, err = c.Kube.CoreV1().ServiceAccounts(namespace).Create(ctx, &o, metav1.CreateOptions{})
		}
	case "Role":
		var o rbacv1.Role
		if err = yaml.UnmarshalStrict(doc, &o); err == nil {
			_, err = c.Kube.RbacV1().Roles(namespace).Create(ctx, &o, metav1.CreateOptions{})
		}
	case "RoleBinding":
		var o rbacv1.RoleBinding
		if err = yaml.UnmarshalStrict(doc, &o); err == nil {
			for i := range o.Subjects {
				o.Subjects[i].Namespace = namespace
			}
			_, err = c.Kube.RbacV1().RoleBindings(namespace).Create(ctx, &o, metav1.CreateOptions{})
		}
	default:
		return fmt.Errorf("kind %q is not expected there", kind.Kind)
	}
	return ifNew(err)
}

// ifNew makes nothing of an object that is there already.
func ifNew(err error) error {
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

func registrySecret(host, user, password string) *corev1.Secret {
	config, err := json.Marshal(map[string]any{"auths": map[string]any{host: map[string]string{
		"username": user, "password": password,
		"auth": base64.StdEncoding.EncodeToString([]byte(user + ":" + password)),
	}}})
	if err != nil {
		panic(err) // strings always marshal
	}
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{ownLabel: "true"}},
		Type:       corev1.SecretTypeDockerConfigJson,
		Data:       map[string][]byte{corev1.DockerConfigJsonKey: config},
	}
}

// DeleteNamespace starts the deletion of a namespace and does not wait for it.
func (c *Cluster) DeleteNamespace(ctx context.Context, name string) error {
	err := c.Kube.CoreV1().Namespaces().Delete(ctx, name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete namespace %s: %w", name, err)
	}
	return nil
}

// AwaitNamespaceGone waits until a namespace that is being deleted does not exist
// any more, five minutes at most.
func (c *Cluster) AwaitNamespaceGone(ctx context.Context, name string) error {
	err := Eventually(ctx, 5*time.Minute, func(ctx context.Context) error {
		_, err := c.Kube.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return nil
		case err == nil:
			err = errors.New("it is still there")
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("wait until namespace %s is gone: %w", name, err)
	}
	return nil
}

// errLeft says that something is left in a namespace.
var errLeft = errors.New("something is left")

// Leftovers names the pods, Jobs and Secrets in a namespace that this package
// did not create, once there are none or the time is up.
func (c *Cluster) Leftovers(ctx context.Context, namespace string, within time.Duration) ([]string, error) {
	var left []string
	err := Eventually(ctx, within, func(ctx context.Context) error {
		now, err := c.listForeign(ctx, namespace)
		if err != nil {
			return err
		}
		if left = now; len(left) > 0 {
			return errLeft
		}
		return nil
	})
	if err != nil && !errors.Is(err, errLeft) {
		return nil, fmt.Errorf("list leftovers: %w", err)
	}
	return left, nil
}

func (c *Cluster) listForeign(ctx context.Context, namespace string) ([]string, error) {
	// Helm keeps a release in a Secret.
	foreign := metav1.ListOptions{LabelSelector: "!" + ownLabel + ",owner!=helm"}
	var names []string
	pods, err := c.Kube.CoreV1().Pods(namespace).List(ctx, foreign)
	if err != nil {
		return nil, err
	}
	for _, o := range pods.Items {
		names = append(names, "pod/"+o.Name)
	}
	jobs, err := c.Kube.BatchV1().Jobs(namespace).List(ctx, foreign)
	if err != nil {
		return nil, err
	}
	for _, o := range jobs.Items {
		names = append(names, "job/"+o.Name)
	}
	secrets, err := c.Kube.CoreV1().Secrets(namespace).List(ctx, foreign)
	if err != nil {
		return nil, err
	}
	for _, o := range secrets.Items {
		names = append(names, "secret/"+o.Name)
	}
	return names, nil
}
