package shellbuild

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/client-go/tools/clientcmd"

	"kiln/internal/kaniko"
	"kiln/internal/podrun"
	"kiln/internal/request"
	"kiln/internal/resolver"
	"kiln/internal/runnerpod"
)

// reach connects handler with the cluster and says in order whom the build is
// for.
func (o Options) reach(ctx context.Context, dir string, handler *request.Handler, order *request.Order) error {
	var err error
	if o.inPod() {
		err = o.reachInside(ctx, handler, order)
	} else {
		err = o.reachOutside(ctx, dir, handler, order)
	}
	if err != nil {
		return err
	}
	if order.Self.Image = cmp.Or(o.Image, order.Self.Image); order.Self.Image == "" {
		return usage("no kiln container runs in the namespace %s whose image the gate of the build could have: name kiln's image with --image", handler.Pods.Namespace)
	}
	if err := handler.Settings.ValidateBuild(); err != nil {
		return &UsageError{Err: err}
	}
	if err := handler.Prepare(); err != nil {
		return &UsageError{Err: err}
	}
	return nil
}

// inPod reports whether the process is that of a runner pod's kiln container,
// and the person did not say where else to build.
func (o Options) inPod() bool {
	return o.Kubeconfig == "" && o.Context == "" && os.Getenv("KUBECONFIG") == "" &&
		o.Settings.PodName != "" && os.Getenv("KUBERNETES_SERVICE_HOST") != ""
}

// reachInside uses what the kiln container has.
func (o Options) reachInside(ctx context.Context, handler *request.Handler, order *request.Order) error {
	cluster, namespace, err := podrun.InCluster(o.Settings.Namespace)
	if err != nil {
		return err
	}
	if handler.Pods, err = podrun.NewClient(cluster, namespace); err != nil {
		return err
	}
	// The daemon's way to find hosts, where there is one.
	if hosts, err := resolver.Kept(o.Settings.State); err == nil {
		handler.Hosts = hosts
	}
	handler.Proxy = kaniko.ProxyFromEnvironment(os.Getenv)
	reader := runnerpod.Reader{Pods: handler.Pods, PodName: o.Settings.PodName}
	order.Self, err = reader.Read(ctx)
	return err
}

// reachOutside uses what the person has, and what the namespace's runners have
// where that says nothing. Proxies are those of the runners: a build does not
// run where the person is.
func (o Options) reachOutside(ctx context.Context, dir string, handler *request.Handler, order *request.Order) error {
	cluster, namespace, err := podrun.Kubeconfig(o.Kubeconfig, o.Context, o.Settings.Namespace)
	switch {
	case clientcmd.IsEmptyConfig(err):
		return usage("no kubeconfig says where the cluster is: name one with --kubeconfig, or read the Dockerfile alone with --check")
	case err != nil:
		return usage("read the kubeconfig: %w", err)
	}
	if handler.Pods, err = podrun.NewClient(cluster, namespace); err != nil {
		return err
	}
	found, err := look(ctx, handler.Pods)
	if err != nil {
		return err
	}
	fmt.Fprintf(o.Stdout, "kiln: building in the namespace %s%s\n", namespace, found.said())
	if o.Settings.BuildTemplate == "" {
		if err := found.keepTemplate(ctx, handler.Pods, dir); err != nil {
			return err
		}
	}
	if handler.Settings, err = o.Refine(found.settings()); err != nil {
		return &UsageError{Err: fmt.Errorf("the settings of the namespace %s: %w", namespace, err)}
	}
	handler.Settings.DockerConfig = ownDockerConfig(handler.Settings.DockerConfig)
	handler.Settings.IdentityToken = "" // a file of the runner pod
	handler.Proxy = kaniko.ProxyFromEnvironment(func(name string) string { return found.values[name] })
	order.Self = found.self
	order.Self.Image = cmp.Or(order.Self.Image, found.values["KILN_IMAGE"])
	host, _ := os.Hostname() // only for a person to read
	order.Self.Name = "a shell on " + cmp.Or(host, "an unknown machine")
	return nil
}

// ownDockerConfig returns the file with the person's credentials where the one
// of the kiln container is not there (https://docs.docker.com/reference/cli/docker/,
// DOCKER_CONFIG).
func ownDockerConfig(path string) string {
	const container = "/var/run/kiln-registry/.dockerconfigjson"
	if _, err := os.Stat(path); path != container || err == nil {
		return path
	}
	dir := os.Getenv("DOCKER_CONFIG")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return path
		}
		dir = filepath.Join(home, ".docker")
	}
	return filepath.Join(dir, "config.json")
}
