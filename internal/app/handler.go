package app

import (
	"os"

	"go.uber.org/zap"

	"kiln/internal/config"
	"kiln/internal/event"
	"kiln/internal/kaniko"
	"kiln/internal/metrics"
	"kiln/internal/podrun"
	"kiln/internal/request"
	"kiln/internal/spool"
)

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
	if err := handler.Prepare(); err != nil {
		return nil, err
	}
	cluster, namespace, err := podrun.InCluster(settings.Namespace)
	if err != nil {
		return nil, err
	}
	cluster.Wrap(counted.KubernetesTransport)
	handler.Pods, err = podrun.NewClient(cluster, namespace)
	if err != nil {
		return nil, err
	}
	handler.Events = event.NewRecorder(handler.Pods.Kube, namespace)
	handler.Self = &request.SelfReader{Pods: handler.Pods, PodName: settings.PodName}
	return handler, nil
}
