package ahead

import (
	"context"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"kiln/internal/actionrun"
	"kiln/internal/imagebuild"
	"kiln/internal/jobrun"
	"kiln/internal/label"
	"kiln/internal/servicerun"
	"kiln/internal/spool"
)

// Cluster is what steps need of one, as [podrun.Client] does it.
type Cluster interface {
	imagebuild.Pods
	actionrun.Pods
	jobrun.Pods
	servicerun.Pods
}

// Pods is a cluster in which wishes make room for steps: they are over as soon as
// anything of this runner finds none.
type Pods struct {
	Cluster

	// Builds are those of the wishes.
	Builds *Builds
}

// Times of a step's pod for which there is room once that of a wish is gone.
const (
	roomTimeout  = 15 * time.Second
	roomInterval = 500 * time.Millisecond
)

// CreatePod creates a pod. A quota that is full ends the wishes; the pod of a step is then
// tried again while theirs go.
func (p Pods) CreatePod(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	made, err := p.Cluster.CreatePod(ctx, pod)
	full, never := p.Cluster.QuotaFull(err)
	if full == "" || never {
		return made, err
	}
	stopped := p.Builds.Stop(ErrNoRoom)
	if _, _, wish := spool.ParseWishID(pod.Labels[label.Request]); wish || !stopped {
		return made, err
	}
	timeout, ticker := time.NewTimer(roomTimeout), time.NewTicker(roomInterval)
	defer timeout.Stop()
	defer ticker.Stop()
	for full != "" {
		select {
		case <-ctx.Done():
			return made, err
		case <-timeout.C:
			return made, err
		case <-ticker.C:
			made, err = p.Cluster.CreatePod(ctx, pod)
			full, _ = p.Cluster.QuotaFull(err)
		}
	}
	return made, err
}

// Events lists events about an object of a step. One that tells of no room ends the
// wishes.
func (p Pods) Events(ctx context.Context, kind, name string) []corev1.Event {
	events := p.Cluster.Events(ctx, kind, name)
	for i := range events {
		switch {
		case events[i].Reason == "FailedScheduling",
			events[i].Reason == "FailedCreate" && strings.Contains(events[i].Message, "exceeded quota"):
			p.Builds.Stop(ErrNoRoom)
			return events
		}
	}
	return events
}
