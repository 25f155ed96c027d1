package podrun

import (
	"fmt"
	"os"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Kubeconfig returns the cluster and the namespace that kubectl has for these
// flags of its own; each may be empty. [clientcmd.IsEmptyConfig] tells an error
// for want of any kubeconfig.
func Kubeconfig(path, name, namespace string) (*rest.Config, string, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = path
	overrides := &clientcmd.ConfigOverrides{CurrentContext: name}
	overrides.Context.Namespace = namespace
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides)
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, "", err
	}
	namespace, _, err = loader.Namespace()
	return config, namespace, err
}

// namespaceFile holds the namespace of the pod's service account
// (https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/).
const namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// InCluster returns how a pod's service account reaches the API server, and the
// namespace: the one given, or the service account's where that is empty.
func InCluster(namespace string) (*rest.Config, string, error) {
	config, err := rest.InClusterConfig()
	if err != nil {
		return nil, "", fmt.Errorf("reach the cluster: %w: mount a service account token in the kiln container", err)
	}
	if namespace != "" {
		return config, namespace, nil
	}
	data, err := os.ReadFile(namespaceFile)
	if err != nil {
		return nil, "", fmt.Errorf("KILN_NAMESPACE is not set and the service account has none: %w", err)
	}
	return config, strings.TrimSpace(string(data)), nil
}
