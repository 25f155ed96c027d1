package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// An Environment says where the cluster's registries are, as seen from pods
// and nodes, and from this machine (Push). Empty fields are optional.
type Environment struct {
	// Registry takes pushes without credentials and serves the base images
	// below library/ (KILN_E2E_REGISTRY, KILN_E2E_REGISTRY_PUSH).
	Registry, RegistryPush string
	// AuthRegistry wants basic auth (KILN_E2E_AUTH_REGISTRY,
	// KILN_E2E_AUTH_USER, KILN_E2E_AUTH_PASSWORD).
	AuthRegistry, AuthUser, AuthPassword string
	// AuthReader is the name of a user of it who may do nothing but read the
	// repository in place of %s, with the same password (KILN_E2E_AUTH_READER).
	AuthReader string
	// KanikoImage is the executor's image (KILN_E2E_KANIKO_IMAGE).
	KanikoImage string
	// KanikoFlavor is the Kaniko in that image, as KILN_KANIKO_FLAVOR takes it
	// (KILN_E2E_KANIKO_FLAVOR); needed where the image's name does not tell.
	KanikoFlavor string
	// Mirrors and Insecure are passed to kiln as they are: the registries to
	// ask in place of others, and those that speak plain HTTP
	// (KILN_E2E_MIRRORS, KILN_E2E_INSECURE).
	Mirrors, Insecure string
	// StorageClass is the class of the work volume (KILN_E2E_STORAGE_CLASS);
	// empty means the cluster's default.
	StorageClass string
	// Shared is a directory that all nodes share, each by a mount of its own
	// (KILN_E2E_SHARED).
	Shared string
	// Root is the repository's root directory.
	Root string
}

// A Cluster is a cluster and its environment. It is safe for concurrent use.
type Cluster struct {
	Environment
	Config *rest.Config
	Kube   kubernetes.Interface
}

// Connect reads the environment and the kubeconfig that KUBECONFIG names. It
// does not talk to the cluster.
func Connect() (*Cluster, error) {
	env, err := fromEnvironment(os.LookupEnv)
	if err != nil {
		return nil, err
	}
	if env.Root, err = repositoryRoot(); err != nil {
		return nil, err
	}
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		clientcmd.NewDefaultClientConfigLoadingRules(), &clientcmd.ConfigOverrides{})
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	// Many tests share one client: the default of five requests a second would
	// be what they measure.
	config.QPS = -1
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("create client: %w", err)
	}
	return &Cluster{Environment: env, Config: config, Kube: kube}, nil
}

func fromEnvironment(lookup func(string) (string, bool)) (Environment, error) {
	var env Environment
	var missing []string
	for _, v := range []struct {
		name     string
		to       *string
		required bool
	}{
		{"KUBECONFIG", new(string), true},
		{"KILN_E2E_REGISTRY", &env.Registry, true},
		{"KILN_E2E_REGISTRY_PUSH", &env.RegistryPush, true},
		{"KILN_E2E_KANIKO_IMAGE", &env.KanikoImage, true},
		{"KILN_E2E_KANIKO_FLAVOR", &env.KanikoFlavor, false},
		{"KILN_E2E_AUTH_REGISTRY", &env.AuthRegistry, false},
		{"KILN_E2E_AUTH_USER", &env.AuthUser, false},
		{"KILN_E2E_AUTH_PASSWORD", &env.AuthPassword, false},
		{"KILN_E2E_AUTH_READER", &env.AuthReader, false},
		{"KILN_E2E_MIRRORS", &env.Mirrors, false},
		{"KILN_E2E_INSECURE", &env.Insecure, false},
		{"KILN_E2E_STORAGE_CLASS", &env.StorageClass, false},
		{"KILN_E2E_SHARED", &env.Shared, false},
	} {
		value, ok := lookup(v.name)
		if v.required && (!ok || value == "") {
			missing = append(missing, v.name)
		}
		*v.to = value
	}
	if len(missing) > 0 {
		return Environment{}, fmt.Errorf("%s not set: run this through hack/with-cluster after \"make cluster-up\", or set them for a cluster of yours as docs/development.md says",
			strings.Join(missing, ", "))
	}
	return env, nil
}

// repositoryRoot is the nearest directory above the working directory that
// holds kiln's go.mod.
func repositoryRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find repository: %w", err)
	}
	for ; ; dir = filepath.Dir(dir) {
		data, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(data), "module kiln\n") {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("find repository: no go.mod of module kiln above the working directory")
		}
	}
}
