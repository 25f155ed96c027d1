package shellbuild

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/client-go/tools/clientcmd"

	"kiln/internal/config"
	"kiln/internal/kaniko"
	"kiln/internal/podrun"
	"kiln/internal/request"
	"kiln/internal/resolver"
	"kiln/internal/runnerpod"
)

// reach returns the handler that builds in the cluster, and says in order whom the
// build is for.
func (o Options) reach(ctx context.Context, dir string, with request.Options, order *request.Order) (*request.Handler, error) {
	var found reached
	var err error
	if o.inPod() {
		found, err = o.reachInside(ctx, order)
	} else {
		found, err = o.reachOutside(ctx, dir, order)
	}
	if err != nil {
		return nil, err
	}
	if order.Self.Image = cmp.Or(o.Image, order.Self.Image); order.Self.Image == "" {
		return nil, usage("no kiln container runs in the namespace %s whose image the gate of the build could have: name kiln's image with --image", found.pods.Namespace)
	}
	if err := found.settings.ValidateBuild(); err != nil {
		return nil, &UsageError{Err: err}
	}
	if with.Operator, err = request.Parse(found.settings, found.network); err != nil {
		return nil, &UsageError{Err: err}
	}
	with.Pods = found.pods
	return request.New(with)
}

// reached is a cluster, how registries are reached beside it, and the settings that
// hold there.
type reached struct {
	settings *config.Settings
	pods     podrun.Client
	network  request.Network
}

// inPod reports whether the process is that of a runner pod's kiln container,
// and the person did not say where else to build.
func (o Options) inPod() bool {
	return o.Kubeconfig == "" && o.Context == "" && os.Getenv("KUBECONFIG") == "" &&
		o.Settings.PodName != "" && os.Getenv("KUBERNETES_SERVICE_HOST") != ""
}

// reachInside uses what the kiln container has.
func (o Options) reachInside(ctx context.Context, order *request.Order) (reached, error) {
	found := reached{settings: o.Settings, network: request.Network{Proxy: kaniko.ProxyFromEnvironment(os.Getenv)}}
	cluster, namespace, err := podrun.InCluster(o.Settings.Namespace)
	if err != nil {
		return reached{}, err
	}
	if found.pods, err = podrun.NewClient(cluster, namespace); err != nil {
		return reached{}, err
	}
	// The daemon's way to find hosts, where there is one.
	if hosts, err := resolver.Kept(o.Settings.State); err == nil {
		found.network.Hosts = hosts
	}
	reader := runnerpod.Reader{Pods: found.pods, PodName: o.Settings.PodName}
	order.Self, err = reader.Read(ctx)
	return found, err
}

// reachOutside uses what the person has, and what the namespace's runners have
// where that says nothing. Proxies are those of the runners: a build does not
// run where the person is.
func (o Options) reachOutside(ctx context.Context, dir string, order *request.Order) (reached, error) {
	cluster, namespace, err := podrun.Kubeconfig(o.Kubeconfig, o.Context, o.Settings.Namespace)
	switch {
	case clientcmd.IsEmptyConfig(err):
		return reached{}, usage("no kubeconfig says where the cluster is: name one with --kubeconfig, or read the Dockerfile alone with --check")
	case err != nil:
		return reached{}, usage("read the kubeconfig: %w", err)
	}
	pods, err := podrun.NewClient(cluster, namespace)
	if err != nil {
		return reached{}, err
	}
	found, err := look(ctx, pods)
	if err != nil {
		return reached{}, err
	}
	fmt.Fprintf(o.Stdout, "kiln: building in the namespace %s%s\n", namespace, found.said())
	if o.Settings.BuildTemplate == "" {
		if err := found.keepTemplate(ctx, pods, dir); err != nil {
			return reached{}, err
		}
	}
	settings, err := o.Refine(found.settings())
	if err != nil {
		return reached{}, &UsageError{Err: fmt.Errorf("the settings of the namespace %s: %w", namespace, err)}
	}
	settings.DockerConfig = ownDockerConfig(settings.DockerConfig)
	settings.IdentityToken = "" // a file of the runner pod
	order.Self = found.self
	order.Self.Image = cmp.Or(order.Self.Image, found.values["KILN_IMAGE"])
	host, _ := os.Hostname() // only for a person to read
	order.Self.Name = "a shell on " + cmp.Or(host, "an unknown machine")
	proxy := kaniko.ProxyFromEnvironment(func(name string) string { return found.values[name] })
	return reached{settings: settings, pods: pods, network: request.Network{Proxy: proxy}}, nil
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
