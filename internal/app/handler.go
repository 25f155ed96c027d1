package app

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"

	"go.uber.org/zap"
	"k8s.io/client-go/rest"

	"kiln/internal/action"
	"kiln/internal/config"
	"kiln/internal/event"
	"kiln/internal/kaniko"
	"kiln/internal/metrics"
	"kiln/internal/podrun"
	"kiln/internal/registry"
	"kiln/internal/request"
	"kiln/internal/spool"
)

// namespaceFile holds the namespace of the pod's service account
// (https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/).
const namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// newHandler makes the handler that reaches the cluster with the pod's
// service account.
func newHandler(settings *config.Settings, memory *spool.Memory, counted *metrics.Metrics, log *zap.Logger) (*request.Handler, error) {
	handler := &request.Handler{
		Settings: settings,
		Proxy:    kaniko.ProxyFromEnvironment(os.Getenv),
		Memory:   memory,
		Metrics:  counted,
		Log:      log.Named("request"),
	}
	if err := errors.Join(parseSettings(handler), readTemplates(handler), handler.Proxy.Validate()); err != nil {
		return nil, err
	}
	cluster, err := rest.InClusterConfig()
	if err != nil {
		return nil, fmt.Errorf("reach the cluster: %w: mount a service account token in the kiln container", err)
	}
	cluster.Wrap(counted.KubernetesTransport)
	namespace, err := namespaceOf(settings)
	if err != nil {
		return nil, err
	}
	handler.Pods, err = podrun.NewClient(cluster, namespace)
	if err != nil {
		return nil, err
	}
	handler.Events = event.NewRecorder(handler.Pods.Kube, namespace)
	handler.Self = &request.SelfReader{Kube: handler.Pods.Kube, Namespace: namespace, PodName: settings.PodName}
	return handler, nil
}

// parseSettings fills in what the handler needs parsed.
func parseSettings(handler *request.Handler) error {
	var errs [4]error
	handler.Names, errs[0] = handler.Settings.Names()
	handler.Mirrors, errs[1] = registry.ParseMirrors(handler.Settings.Mirrors)
	handler.Insecure, errs[2] = registry.ParseInsecure(handler.Settings.Insecure)
	if errs[1] == nil && errs[2] == nil {
		handler.Registry, errs[3] = newRegistryClient(handler)
	}
	return errors.Join(errs[:]...)
}

// newRegistryClient returns the client that asks registries with the operator's
// credentials, as the gates of build pods do.
func newRegistryClient(handler *request.Handler) (*registry.Client, error) {
	settings := handler.Settings
	allow, err := registry.ParseAllow(settings.PullAllow)
	if err != nil {
		return nil, err
	}
	roots, err := registry.Roots(settings.CAFile)
	if err != nil {
		return nil, fmt.Errorf("KILN_CA_FILE: %w", err)
	}
	pull := cmp.Or(settings.PullDocker, settings.DockerConfig)
	return registry.NewClient(registry.ClientConfig{
		Push:     registry.FileKeychain(settings.DockerConfig),
		Pull:     registry.Restrict(registry.FileKeychain(pull), allow),
		Mirrors:  handler.Mirrors,
		Insecure: handler.Insecure,

		Transport: handler.Metrics.RegistryTransport(registry.NewTransport(roots)),
	}), nil
}

// readTemplates reads the operator's pod templates.
func readTemplates(handler *request.Handler) error {
	var errs [2]error
	handler.ActionTemplate, errs[0] = readTemplate("ACTIONS_RUNNER_CONTAINER_HOOK_TEMPLATE", handler.Settings.ActionTemplate, action.ParseTemplate)
	handler.BuildTemplate, errs[1] = readTemplate("KILN_BUILD_TEMPLATE", handler.Settings.BuildTemplate, kaniko.ParseTemplate)
	return errors.Join(errs[:]...)
}

// readTemplate reads and parses the file that the setting called name has as
// its value; without one there is no template.
func readTemplate[T any](name, path string, parse func([]byte) (*T, error)) (*T, error) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: mount the file in the kiln container", name, err)
	}
	template, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", name, path, err)
	}
	return template, nil
}

// namespaceOf returns the runner pod's namespace.
func namespaceOf(settings *config.Settings) (string, error) {
	if settings.Namespace != "" {
		return settings.Namespace, nil
	}
	data, err := os.ReadFile(namespaceFile)
	if err != nil {
		return "", fmt.Errorf("KILN_NAMESPACE is not set and the service account has none: %w", err)
	}
	return strings.TrimSpace(string(data)), nil
}
