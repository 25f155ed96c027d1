package request

import (
	"context"
	"fmt"
	"os"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/event"
	"kiln/internal/failure"
	"kiln/internal/hook"
	"kiln/internal/kaniko"
	"kiln/internal/label"
	"kiln/internal/metrics"
	"kiln/internal/registry"
)

// image is an image that is ready to run.
type image struct {
	// reference is by digest, as nodes pull it.
	reference string
	// reused says when it was built, where it was not for this step.
	reused string
	// followed says that another step built it, while this one waited.
	followed bool
	// built says that kiln made it, now or earlier. Others are a workflow's own
	// choice.
	built bool
	// start is how its containers start; nil where that is not known yet.
	start *registry.Start
}

// build returns the image of the step's Dockerfile: the one that the registry
// has already, or a new one.
func (s *step) build(ctx context.Context) (image, error) {
	p, err := s.plan(ctx)
	if err != nil {
		s.tell(outcome(ctx, image{}, err), err)
		return image{}, err
	}
	s.planned = p
	ready, err := s.provide(ctx, p)
	s.tell(outcome(ctx, ready, err), err)
	if ready.reused == "" { // else it may have to be built all the same
		_ = os.Remove(s.handler.state.ContextPath(s.id))
	}
	return ready, err
}

// tell counts how a build ended, and says so on the runner pod.
func (s *step) tell(ended metrics.Build, err error) {
	s.handler.metrics.BuildEnded(ended)
	switch ended {
	case metrics.BuildReused:
		s.event(event.ImageReused, "an image of the registry is used again")
	case metrics.BuildFailed:
		s.event(event.BuildFailed, string(failure.Of(err)))
	}
}

// event tells of this step on the runner pod.
func (s *step) event(reason event.Reason, message string) {
	s.handler.events.Record(event.Pod{Name: s.self.Name, UID: s.self.UID}, reason, "request "+s.id+": "+message)
}

// outcome is how a build is counted.
func outcome(ctx context.Context, ready image, err error) metrics.Build {
	switch {
	case ctx.Err() != nil:
		return metrics.BuildCancelled
	case err != nil:
		return metrics.BuildFailed
	case ready.reused != "":
		return metrics.BuildReused
	case ready.followed:
		return metrics.BuildFollowed
	}
	return metrics.BuildBuilt
}

// rebuild builds an image that was reused and that the nodes do not find.
func (s *step) rebuild(ctx context.Context) (image, error) {
	found, why := s.find(ctx, s.planned)
	if why == "" {
		s.missing = found.digest
	}
	return s.provide(ctx, s.planned)
}

// provide returns the image of a plan.
func (s *step) provide(ctx context.Context, p *plan) (image, error) {
	found, why := s.find(ctx, p)
	s.times.Mark("lookup")
	if why == "" {
		s.log.Line("kiln: %s %s", found.note, found.reference(p))
		return image{reference: found.reference(p), reused: found.note, built: true, start: found.start}, nil
	}
	s.warn(p.warnings)
	s.log.Shield("Build " + s.dockerfile().File)
	s.log.Line("kiln: %s", why)
	s.event(event.BuildStarted, "its image is built")
	built, err := s.make(ctx, p)
	if err != nil {
		return image{}, err
	}
	s.log.Line("kiln: %s %s", built.note, built.reference(p))
	s.log.Unshield()
	if built.kept {
		s.warnKept(p, built)
	}
	return image{reference: built.reference(p), followed: built.followed, built: true, start: built.start}, nil
}

// warnKept tells of an image that the registry did not let be replaced.
func (s *step) warnKept(p *plan, built made) {
	text := fmt.Sprintf("the registry keeps the image that has the tag %s (%s) and did not take the one that was built now: "+
		"the kept one runs. An operator can make the repository's tags mutable, or expire them before KILN_REUSE_MAX_AGE", p.push, built.note)
	s.log.Line("::warning::kiln: %s", hook.EscapeData(text))
}

// buildPod returns the specification of the build pod. pulls are the images
// that may be pulled, pinned to the digests that the key was made of.
func (s *step) buildPod(p *plan, pulls []string) (*corev1.Pod, error) {
	pod, err := kaniko.Pod(kaniko.Build{
		Namespace:        s.handler.pods.Namespace,
		Labels:           s.labels(label.RoleBuild),
		OwnerReferences:  []metav1.OwnerReference{s.owner},
		KanikoImage:      p.executor,
		Executor:         s.handler.operator.Settings.Executor,
		Flavor:           s.handler.operator.Flavor,
		Rights:           s.handler.operator.Settings.BuildRights,
		SnapshotMode:     s.handler.operator.Settings.SnapshotMode,
		GateImage:        s.self.Image,
		GatePullPolicy:   s.self.PullPolicy,
		Unused:           p.file.Unused,
		OwnArgs:          p.file.OwnArgs,
		Push:             p.push,
		Pulls:            pulls,
		Inspect:          p.inspect,
		Mirrors:          s.handler.operator.Mirrors,
		Insecure:         s.handler.operator.Insecure,
		PlainLogin:       s.handler.operator.PlainLogin,
		SecretName:       s.handler.operator.Settings.RegistrySecret,
		PullSecretName:   s.handler.operator.Settings.PullSecret,
		PullAllow:        s.handler.operator.Settings.PullAllow,
		CAConfigMap:      s.handler.operator.Settings.CAConfigMap,
		Identity:         s.handler.operator.Settings.CloudIdentity(),
		ServiceAccount:   s.self.ServiceAccount,
		Proxy:            s.handler.operator.Proxy,
		Triggers:         p.triggers,
		Tolerations:      s.self.Tolerations,
		ImagePullSecrets: s.self.PullSecrets,
		Arch:             arch,
		Deadline:         s.handler.operator.Settings.PendingTimeout + s.handler.operator.Settings.BuildTimeout,
		Memory:           s.handler.operator.Settings.BuildMemory,
		EphemeralStorage: s.handler.operator.Settings.BuildStorage,
		OwnUsers:         p.users,
	})
	if err != nil {
		return nil, err
	}
	pod.Annotations = map[string]string{label.Runner: s.self.Name}
	s.handler.operator.BuildTemplate.Apply(pod)
	if pod.Name, err = kaniko.Name(pod); err != nil {
		return nil, fmt.Errorf("name the build pod: %w", err)
	}
	return pod, nil
}

// cleanup deletes one object of the step with a context of its own: the
// step's may have ended.
func (s *step) cleanup(what string, remove func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
	defer cancel()
	if err := remove(ctx); err != nil {
		s.handler.metrics.CleanupFailed()
		s.logger.Warn("cleanup failed, the owner reference will collect it", zap.String("what", what), zap.Error(err))
	}
}
