package request

import (
	"errors"
	"strings"
	"testing"

	"kiln/internal/failure"
	"kiln/internal/preflight"
	"kiln/internal/registry"
	"kiln/internal/spool"
)

// What keeps a base image from being read says whose fault it is: a registry that
// answers is not called unreachable.
func TestBaseError(t *testing.T) {
	cause := errors.New("because")
	for name, tt := range map[string]struct {
		kind registry.Kind
		err  error
		want failure.Reason
	}{
		"missing":        {registry.NotFound, cause, failure.BaseImageNotFound},
		"denied":         {registry.Denied, cause, failure.BaseImageDenied},
		"our own denial": {registry.Denied, &registry.SettingsError{Err: cause}, failure.Misconfigured},
		"other platform": {registry.OtherPlatform, cause, failure.BaseImageNotFound},
		"unfit":          {registry.Unfit, cause, failure.UnsupportedInstruction},
		"silent":         {registry.Unreachable, cause, failure.RegistryUnreachable},
	} {
		s := &step{handler: &Handler{}, asked: spool.Request{Dockerfile: "Dockerfile"}}
		err := s.baseError(preflight.Image{Reference: "ghcr.io/acme/base:1", Line: 3}, &registry.LookupError{Reference: "x", Kind: tt.kind, Err: tt.err})
		if failure.Of(err) != tt.want || !strings.Contains(err.Error(), ":3: ") || !strings.Contains(err.Error(), "because") {
			t.Errorf("%s: %q %v, want %q", name, failure.Of(err), err, tt.want)
		}
	}
}
