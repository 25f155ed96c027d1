package servicerun_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	corev1 "k8s.io/api/core/v1"

	"kiln/internal/jobrun"
	"kiln/internal/registry"
)

// silent are registries that never answer.
type silent struct{}

func (silent) Serving(ctx context.Context, _, _ string, _ *authn.AuthConfig) (registry.Serving, error) {
	<-ctx.Done()
	return registry.Serving{}, ctx.Err()
}

func (silent) StartWith(ctx context.Context, _, _ string, _ *authn.AuthConfig) (registry.Start, error) {
	<-ctx.Done()
	return registry.Start{}, ctx.Err()
}

func (silent) FilesWith(ctx context.Context, _, _ string, _ *authn.AuthConfig, _ ...string) (map[string]string, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestSilentRegistries: where the daemon reaches no registry, which the nodes may, all
// images of a job together hold it up once.
func TestSilentRegistries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, serves(0))
		s.options.Registry, s.images = silent{}, silent{}
		s.again()
		var made atomic.Int64
		s.cluster.Admit = func(*corev1.Pod) error {
			made.Store(time.Now().UnixNano())
			return nil
		}
		begun := time.Now()
		if _, err := s.prepare(with(serviceOf("postgres:16", ""), serviceOf("redis:7", "")), "db", "cache"); err != nil {
			t.Fatal(err)
		}
		if held := time.Unix(0, made.Load()).Sub(begun); held > jobrun.ImageTime {
			t.Errorf("the pod was made after %v", held)
		}
		log := s.log.String()
		const want = "what these images say of their services is not known: postgres:16, redis:7: context deadline exceeded\n"
		if strings.Count(log, "is not known") != 2 || !strings.Contains(log, want) || !strings.Contains(log, "the configuration of the image is not known") {
			t.Errorf("the log lacks %q:\n%s", want, log)
		}
	})
}
