package registry

import (
	"context"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

// maxUser bounds the USER of an image that is looked at, in bytes. What is longer
// is cut, and no user has such a name.
const maxUser = 1 << 10

// maxCommand bounds the ENTRYPOINT and CMD of an image that are kept, in bytes.
const maxCommand = 64 << 10

// maxGoMemory bounds the GOMEMLIMIT of an image that is kept, in bytes: no sound one is as
// long.
const maxGoMemory = 32

// Start is what an image says of the start of a container. Whoever made the image
// wrote it.
type Start struct {
	// User is its USER, as it is: a name or number, with a group behind a colon
	// or without; empty for root.
	User string
	// Command says that it has an ENTRYPOINT or a CMD, and Entrypoint and Cmd are
	// these. Where they are too long to be kept both are nil.
	Command         bool
	Entrypoint, Cmd []string
	// GoMemory is the GOMEMLIMIT of its environment, or its beginning.
	GoMemory string
}

// start takes the Start out of a configuration.
func (c imageConfig) start() Start {
	user := c.Config.User
	if len(user) > maxUser {
		user = user[:maxUser]
	}
	start := Start{
		User:    strings.Clone(user),
		Command: len(c.Config.Entrypoint) > 0 || len(c.Config.Cmd) > 0,
	}
	if words := slices.Concat(c.Config.Entrypoint, c.Config.Cmd); len(strings.Join(words, " ")) <= maxCommand {
		start.Entrypoint, start.Cmd = c.Config.Entrypoint, c.Config.Cmd
	}
	for _, entry := range c.Config.Env {
		if limit, found := strings.CutPrefix(entry, "GOMEMLIMIT="); found {
			start.GoMemory = strings.Clone(limit[:min(len(limit), maxGoMemory)])
		}
	}
	return start
}

// HostOf returns the registry of a reference, as [name.ParseReference] reads it.
func HostOf(reference string) (string, error) {
	ref, err := name.ParseReference(reference)
	if err != nil {
		return "", &LookupError{Reference: reference, Kind: Malformed, Err: err}
	}
	return ref.Context().RegistryStr(), nil
}

// Start reads how containers of reference start on linux/arch, with the
// credentials for pulling. It takes what Resolve and Base take, and is remembered
// as they are. Errors are of type [*LookupError].
func (c *Client) Start(ctx context.Context, reference, arch string) (Start, error) {
	digest, err := c.Resolve(ctx, reference)
	if err != nil {
		return Start{}, err
	}
	base, err := c.Base(ctx, reference, digest, arch)
	return base.Start, err
}
