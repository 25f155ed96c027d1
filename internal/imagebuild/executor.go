package imagebuild

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"go.uber.org/zap"
)

// executorTimeout bounds the question for the digest of the Kaniko image, from when the
// bases are known: where their registries take long the daemon has little of the
// processor, and an executor that is told by its name alone is another key.
const executorTimeout = 3 * time.Second

// executor is the Kaniko image, pinned to the digest that its registry has for
// it now. Nodes may have a way to it that the daemon has not: then the name is
// all that is known of it. Asking is ctx for the question, and may end earlier.
func (o *order) executor(ctx, asking context.Context) string {
	digest, err := o.builder.executors.resolve(ctx, asking, o.builder.options.Registry, o.builder.options.Settings.KanikoImage)
	if err != nil {
		o.who.Logger.Info("the digest of the Kaniko image is not known", zap.Error(err))
		return o.builder.options.Settings.KanikoImage
	}
	pinned, err := pin(o.builder.options.Settings.KanikoImage, digest)
	if err != nil {
		return o.builder.options.Settings.KanikoImage
	}
	return pinned
}

// pin names an image by tag and digest: the digest says which, the tag is what
// the Dockerfile asks for.
func pin(reference, digest string) (string, error) {
	parsed, err := name.ParseReference(reference)
	if err != nil {
		return "", fmt.Errorf("image %q: %w", reference, err)
	}
	if tag, ok := parsed.(name.Tag); ok {
		return tag.Context().Name() + ":" + tag.TagStr() + "@" + digest, nil
	}
	return reference, nil
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

// resolve returns the digest of image, if its registry says so before asking ends. Where
// ctx ends, as that of a cancelled step, nothing is said of the registry.
func (m *executorMemo) resolve(ctx, asking context.Context, client Registry, image string) (string, error) {
	m.mu.Lock()
	err, until := m.err, m.until
	m.mu.Unlock()
	if time.Now().Before(until) {
		return "", err
	}
	digest, err := client.Resolve(asking, image)
	if err != nil && ctx.Err() == nil {
		if asking.Err() != nil {
			err = fmt.Errorf("no answer within %s of those for the base images: %w", executorTimeout, err)
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		m.err, m.until = err, time.Now().Add(executorRetry)
	}
	return digest, err
}
