package request

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/kaniko"
	"kiln/internal/podrun"
	"kiln/internal/preflight"
	"kiln/internal/registry"
)

// build has the step's Dockerfile built and returns the image to run, by
// digest.
func (s *step) build(ctx context.Context) (string, error) {
	dockerfile, err := s.accept()
	if err != nil {
		return "", err
	}
	defer func() { _ = os.Remove(s.Memory.ContextPath(s.claim.ID)) }()
	s.times.mark("context")
	push, pull := s.Names.Image(s.claim.Request.Workspace, registry.RandomTag())
	spec, err := s.buildPod(dockerfile, push)
	if err != nil {
		return "", err
	}
	s.log.Shield("Build " + s.dockerfile().file)
	s.debugf("build pod %s/%s, executor %s", spec.Namespace, spec.Name, s.Settings.KanikoImage)
	digest, err := s.runBuild(ctx, dockerfile, spec)
	if err != nil {
		return "", err
	}
	s.log.Line("kiln: built %s@%s", repository(pull), digest)
	s.log.Unshield()
	return repository(pull) + "@" + digest, nil
}

// repository cuts the tag off an image reference.
func repository(reference string) string {
	if i := strings.LastIndexByte(reference, ':'); i > strings.LastIndexByte(reference, '/') {
		return reference[:i]
	}
	return reference
}

// buildPod returns the specification of the build pod.
func (s *step) buildPod(dockerfile *preflight.Dockerfile, push string) (*corev1.Pod, error) {
	flavor, err := s.Settings.Flavor()
	if err != nil {
		return nil, err
	}
	pod, err := kaniko.Pod(kaniko.Build{
		Name:             objectName(s.claim.ID),
		Namespace:        s.Pods.Namespace,
		Labels:           s.labels("build"),
		OwnerReferences:  []metav1.OwnerReference{s.self.Owner()},
		KanikoImage:      s.Settings.KanikoImage,
		Flavor:           flavor,
		SnapshotMode:     s.Settings.SnapshotMode,
		GateImage:        s.self.Image,
		GatePullPolicy:   s.self.PullPolicy,
		Dockerfile:       s.claim.Request.Dockerfile,
		Push:             push,
		Pulls:            pulls(dockerfile),
		Mirrors:          s.Mirrors,
		Insecure:         s.Insecure,
		SecretName:       s.Settings.RegistrySecret,
		Tolerations:      s.self.Tolerations,
		ImagePullSecrets: s.self.PullSecrets,
		Arch:             runtime.GOARCH,
		Deadline:         s.Settings.PendingTimeout + s.Settings.BuildTimeout,
		Memory:           s.Settings.BuildMemory,
		EphemeralStorage: s.Settings.BuildStorage,
	})
	if err != nil {
		return nil, err
	}
	s.BuildTemplate.Apply(pod)
	return pod, nil
}

// pulls are the images that the Dockerfile names.
func pulls(dockerfile *preflight.Dockerfile) []string {
	references := make([]string, 0, len(dockerfile.Images))
	for _, image := range dockerfile.Images {
		references = append(references, image.Reference)
	}
	return references
}

// runBuild creates the build pod, sees it through and deletes it.
func (s *step) runBuild(ctx context.Context, dockerfile *preflight.Dockerfile, spec *corev1.Pod) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	_, err := s.Pods.CreatePod(ctx, spec)
	if !podrun.Refused(err) { // the answer alone may be lost
		defer s.cleanup("build pod", func(ctx context.Context) error { return s.Pods.Delete(ctx, spec.Name, 0, nil) })
	}
	if err != nil {
		return "", fmt.Errorf("create the build pod: %w", err)
	}
	return newBuild(s, dockerfile, spec.Name).run(ctx)
}

// cleanup deletes one object of the step with a context of its own: the
// step's may have ended.
func (s *step) cleanup(what string, remove func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
	defer cancel()
	if err := remove(ctx); err != nil {
		s.logger.Warn("cleanup failed, the owner reference will collect it", zap.String("what", what), zap.Error(err))
	}
}
