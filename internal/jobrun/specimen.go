package jobrun

import (
	"context"
	"strings"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"

	"kiln/internal/hook"
	"kiln/internal/runnerpod"
	"kiln/internal/spool"
)

// Specimen is the pod of a job that nobody asked for, with an image that need not
// exist: what the cluster lets through of it, it lets through of every job's that asks
// for no more. Nothing is made.
func (o Options) Specimen(id string, self runnerpod.Self, image string) (*corev1.Pod, error) {
	p := &preparation{
		runner: &Runner{options: o},
		call:   Call{ID: id, Runner: self, Logger: zap.NewNop()},
		asked:  hook.Job{Container: &hook.JobContainer{Container: hook.Container{Image: image}}},
		shim:   spool.Job{Dir: strings.Repeat("0", 32)},
	}
	spec, err := p.spec(context.Background()) // without options nobody is asked anything
	if err != nil {
		return nil, err
	}
	return p.pod(spec)
}
