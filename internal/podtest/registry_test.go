package podtest

import (
	"errors"
	"net/http"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"kiln/internal/registry"
)

// TestRegistry looks up what there is and what there is not, over registries that
// work and others.
func TestRegistry(t *testing.T) {
	const reference = "registry.example.com/ci/app:k1-0"
	for name, tt := range map[string]struct {
		reference string
		faults    Faults
		want      registry.Kind // "" for an image
		took      time.Duration // at least
	}{
		"there":             {reference, nil, "", 0},
		"not there":         {"registry.example.com/ci/app:k1-1", nil, registry.NotFound, 0},
		"denied":            {reference, Always("get manifests", Answers(http.StatusForbidden)), registry.Denied, 0},
		"fails once":        {reference, Once("get manifests", Answers(http.StatusServiceUnavailable)), "", 300 * time.Millisecond},
		"fails":             {reference, Always("get manifests", Answers(http.StatusServiceUnavailable)), registry.Unreachable, time.Second},
		"breaks":            {reference, Always("get manifests", Lost()), registry.Unreachable, time.Second},
		"is silent":         {reference, Always("get manifests", TimedOut()), registry.Unreachable, 20 * time.Second},
		"breaks in between": {reference, Once("get blobs", Fault{Cut: 10}), "", 300 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := NewRegistry()
				created := time.Now().Add(-time.Hour)
				digest := r.Put(reference, Image{Created: created, Config: v1.Config{User: "1001", Cmd: []string{"id"}}})
				began := time.Now()
				image, err := r.Client(tt.faults).Image(t.Context(), tt.reference)
				if took := time.Since(began); took < tt.took {
					t.Errorf("took %v, want %v at least", took, tt.took)
				}
				if again := r.Put(reference, Image{Created: created, Config: v1.Config{User: "1001", Cmd: []string{"id"}}}); again != digest {
					t.Errorf("the same image has the digests %s and %s", digest, again)
				}
				if tt.want == "" {
					if err != nil || image.Digest != digest || !image.Created.Equal(created) || image.Start.User != "1001" || !image.Start.Command {
						t.Errorf("image %+v, %v; want digest %s", image, err, digest)
					}
					return
				}
				lookup, ok := errors.AsType[*registry.LookupError](err)
				if !ok || lookup.Kind != tt.want {
					t.Errorf("error = %v, want %s", err, tt.want)
				}
			})
		})
	}
}

// TestRegistryBase looks at an image that others are built from.
func TestRegistryBase(t *testing.T) {
	r := NewRegistry()
	digest := r.Put("base.example.com/base:1", Image{Config: v1.Config{Shell: []string{"/bin/ash", "-c"}}})
	client := r.Client(nil)
	got, err := client.Resolve(t.Context(), "base.example.com/base:1")
	if err != nil || got != digest {
		t.Errorf("digest %s, %v; want %s", got, err, digest)
	}
	base, err := client.Base(t.Context(), "base.example.com/base:1", digest, runtime.GOARCH)
	if err != nil || len(base.Shell) != 2 {
		t.Errorf("base %+v, %v", base, err)
	}
}
