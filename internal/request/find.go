package request

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"kiln/internal/buildkey"
	"kiln/internal/failure"
	"kiln/internal/registry"
	"kiln/internal/steplog"
)

// findTimeout bounds a look-up of an image: a registry that does not answer in
// that time is left to the build to complain about.
const findTimeout = 10 * time.Second

// find returns the image of a plan that the registry has and that need not be
// built again; otherwise why it has to be built.
func (s *step) find(ctx context.Context, p *plan) (found made, why string) {
	if !p.keyed {
		return made{}, "each step is built (KILN_TAG=random)"
	}
	if p.blind != "" {
		return made{}, p.blind
	}
	ctx, cancel := context.WithTimeout(ctx, findTimeout)
	defer cancel()
	image, err := s.handler.operator.Registry.Image(ctx, p.push)
	if err == nil {
		return s.decide(&image)
	}
	if lookup, ok := errors.AsType[*registry.LookupError](err); ok && lookup.Kind == registry.NotFound {
		return s.decide(nil)
	}
	// Some registries deny what does not exist, and a build may still go well.
	s.logger.Warn("look up the image", zap.Error(err))
	p.blind = "the registry does not say whether it was built: " + steplog.OneLine(err.Error())
	return made{}, p.blind
}

// decide says whether the image under the key's tag, nil for none, is used.
func (s *step) decide(image *registry.Image) (found made, why string) {
	switch {
	case image != nil && image.Digest == s.missing:
		return made{}, "the nodes do not find it"
	case image != nil && s.isNew(image):
		// As new as what this step would build, whatever the age limit.
		return made{digest: image.Digest, note: "built by another runner", followed: true, start: &image.Start}, ""
	}
	decision := buildkey.Policy{MaxAge: s.handler.operator.Settings.ReuseMaxAge}.Decide(image, time.Now())
	if !decision.Reuse {
		return made{}, decision.Reason
	}
	return made{digest: image.Digest, note: decision.Reason, start: &image.Start}, ""
}

// clockSkew is how far the clocks of two nodes may be apart.
const clockSkew = time.Minute

// isNew reports whether the image was built since the step began. A build writes
// its own time, so one that is ahead of the clock proves nothing.
func (s *step) isNew(image *registry.Image) bool {
	return image.Created.After(s.times.Started()) && image.Created.Before(time.Now().Add(clockSkew))
}

// keptImage is the outcome of a build whose tag the registry did not let be
// written again: what it holds there is what runs.
func (b *build) keptImage(ctx context.Context) (made, error) {
	image, err := b.step.handler.operator.Registry.Image(ctx, b.plan.push)
	if err != nil {
		return made{}, failure.New(failure.RegistryDeniedPush, "kiln: the registry keeps the image that has the tag %s and does not show it: %w", b.plan.push, err)
	}
	return made{digest: image.Digest, note: "built " + buildkey.Age(max(0, time.Since(image.Created))) + " ago", kept: true, start: &image.Start}, nil
}

// executorMemo remembers for a while that the registry of the Kaniko image
// cannot be asked. The zero value is ready; it is safe for concurrent use.
type executorMemo struct {
	mu    sync.Mutex
	err   error
	until time.Time
}

// executorRetry is how long a failed look-up is remembered: a cluster whose
// nodes alone reach that registry must not cost every step the time of it.
const executorRetry = 5 * time.Minute

// resolve returns the digest of image.
func (m *executorMemo) resolve(ctx context.Context, client *registry.Client, image string) (string, error) {
	m.mu.Lock()
	err, until := m.err, m.until
	m.mu.Unlock()
	if time.Now().Before(until) {
		return "", err
	}
	digest, err := client.Resolve(ctx, image)
	if err != nil && !errors.Is(err, context.Canceled) { // a cancelled step says nothing of the registry
		m.mu.Lock()
		defer m.mu.Unlock()
		m.err, m.until = err, time.Now().Add(executorRetry)
	}
	return digest, err
}
