package registry

import (
	"context"

	"github.com/google/go-containerregistry/pkg/authn"
)

// StartWith is [Client.Start] with a login as [Client.Serving] takes one.
func (c *Client) StartWith(ctx context.Context, reference, arch string, login *authn.AuthConfig) (Start, error) {
	c, err := c.withLogin(reference, login)
	if err != nil {
		return Start{}, err
	}
	return c.Start(ctx, reference, arch)
}

// FilesWith is [Client.Files] for an image that is not kiln's, with a login as
// [Client.Serving] takes one.
func (c *Client) FilesWith(ctx context.Context, reference, arch string, login *authn.AuthConfig, files ...string) (map[string]string, error) {
	c, err := c.withLogin(reference, login)
	if err != nil {
		return nil, err
	}
	return c.Files(ctx, reference, arch, false, files...)
}

// withLogin returns a client that pulls reference with a login, c itself for none.
func (c *Client) withLogin(reference string, login *authn.AuthConfig) (*Client, error) {
	if login == nil {
		return c, nil
	}
	host, err := HostOf(reference)
	if err != nil {
		return nil, err
	}
	return c.as(loginAt{host, *login}), nil
}

// as returns a client that pulls with other credentials and remembers for itself.
func (c *Client) as(pull authn.Keychain) *Client {
	own := *c
	own.pull = pull
	own.digests = newMemo[string](c.digests.keep, 1, c.digests.now)
	own.bases = newMemo[Base](c.bases.keep, 1, c.bases.now)
	return &own
}

// loginAt is a login for one registry; at others there is none.
type loginAt struct {
	host  string
	login authn.AuthConfig
}

// Resolve implements [authn.Keychain].
func (l loginAt) Resolve(target authn.Resource) (authn.Authenticator, error) {
	if target.RegistryStr() != l.host {
		return authn.Anonymous, nil
	}
	return authn.FromConfig(l.login), nil
}
