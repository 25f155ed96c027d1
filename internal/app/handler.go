package app

import (
	"net/http"
	"net/netip"
	"net/url"
	"os"

	"go.uber.org/zap"
	"k8s.io/client-go/rest"

	"kiln/internal/config"
	"kiln/internal/event"
	"kiln/internal/kaniko"
	"kiln/internal/metrics"
	"kiln/internal/podrun"
	"kiln/internal/request"
	"kiln/internal/resolver"
	"kiln/internal/runnerpod"
	"kiln/internal/spool"
)

// newHandler makes the handler that reaches the cluster with the pod's
// service account, and what reads the runner pod.
func newHandler(settings *config.Settings, state *spool.State, counted *metrics.Metrics, log *zap.Logger) (*request.Handler, *runnerpod.Reader, error) {
	hosts, err := resolver.Keep(settings.State)
	if err != nil {
		return nil, nil, err
	}
	operator, err := request.Parse(settings, request.Network{Hosts: hosts, Proxy: kaniko.ProxyFromEnvironment(os.Getenv), Metrics: counted})
	if err != nil {
		return nil, nil, err
	}
	cluster, namespace, err := podrun.InCluster(settings.Namespace)
	if err != nil {
		return nil, nil, err
	}
	dialByName(cluster, hosts)
	cluster.Proxy = operator.PlainLogin.Proxy(http.ProxyFromEnvironment)
	cluster.Wrap(counted.KubernetesTransport)
	pods, err := podrun.NewClient(cluster, namespace)
	if err != nil {
		return nil, nil, err
	}
	ports, err := newPorts(state, log)
	if err != nil {
		return nil, nil, err
	}
	runner := &runnerpod.Reader{Pods: pods, PodName: settings.PodName}
	handler, err := request.New(request.Options{
		Operator: operator,
		Pods:     pods,
		Runner:   runner,
		State:    state,
		Ports:    ports,
		Metrics:  counted,
		Events:   event.NewRecorder(pods.Kube, namespace),
		Logger:   log.Named("request"),
	})
	return handler, runner, err
}

// dialByName has an API server that is called by a name looked up as registries
// are. Mostly KUBERNETES_SERVICE_HOST is an address, and there is nothing to look
// up; the streams of attach go by the files of the system in any case. Who the
// API server is, TLS tells.
func dialByName(cluster *rest.Config, hosts *resolver.Resolver) {
	target, err := url.Parse(cluster.Host)
	if err != nil {
		return
	}
	if _, err := netip.ParseAddr(target.Hostname()); err != nil {
		cluster.Dial = hosts.DialContext
	}
}
