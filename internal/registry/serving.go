package registry

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
)

// Bounds on what is remembered of an image for a service.
const (
	maxExposed = 100
	maxNames   = 200      // of variables
	maxName    = 256      // bytes of one
	maxTest    = 16 << 10 // bytes of a health check
)

// Serving is what an image says of a service that is made of it. Whoever made the
// image wrote it.
type Serving struct {
	// Exposed are its ports as its configuration has them, "80/tcp", sorted.
	Exposed []string
	// Variables are the names of those that its environment sets, sorted.
	Variables []string
	// Health is its HEALTHCHECK, nil for none.
	Health *Healthcheck
	// Shell is its SHELL, empty for Docker's own.
	Shell []string
}

// Healthcheck is a HEALTHCHECK, as Docker keeps it. Zero values are defaults.
type Healthcheck struct {
	// Test is NONE, or CMD and a command, or CMD-SHELL and a line for the shell.
	Test []string `json:"Test"`
	// Times are in nanoseconds.
	Interval      time.Duration `json:"Interval"`
	Timeout       time.Duration `json:"Timeout"`
	StartPeriod   time.Duration `json:"StartPeriod"`
	StartInterval time.Duration `json:"StartInterval"`
	Retries       int           `json:"Retries"`
}

// serving takes a Serving out of a configuration. A health check without bounds is
// none.
func (c imageConfig) serving() Serving {
	s := Serving{Shell: slices.Clone(c.Config.Shell)}
	for _, port := range slices.Sorted(maps.Keys(c.Config.ExposedPorts)) {
		if len(s.Exposed) < maxExposed && len(port) < len("65535-65535/sctp") {
			s.Exposed = append(s.Exposed, strings.Clone(port))
		}
	}
	s.Variables = c.variables()
	if h := c.Config.Healthcheck; h != nil && len(strings.Join(h.Test, "\n")) <= maxTest {
		s.Health = h
	}
	return s
}

// variables are the names of those that the configuration sets.
func (c imageConfig) variables() []string {
	var names []string
	for _, item := range c.Config.Env {
		if name, _, _ := strings.Cut(item, "="); len(names) < maxNames && len(name) <= maxName {
			names = append(names, strings.Clone(name))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Serving reads what the image under reference for linux/arch says of a service,
// with the given login at its registry, or the credentials for pulling where that is
// nil. A login is sent nowhere else, and what it opened is not remembered. Errors are
// of type [*LookupError].
func (c *Client) Serving(ctx context.Context, reference, arch string, login *authn.AuthConfig) (Serving, error) {
	c, err := c.withLogin(reference, login)
	if err != nil {
		return Serving{}, err
	}
	digest, err := c.Resolve(ctx, reference)
	if err != nil {
		return Serving{}, err
	}
	base, err := c.Base(ctx, reference, digest, arch)
	return base.Serving, err
}
