package gate

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"kiln/internal/cloudlogin"
	"kiln/internal/registry"
)

// TestIdentity finds whose login the gate uses: the identity's for the registry
// that it names, to push and to pull, unless pulls have a Secret of their own or
// are anonymous.
func TestIdentity(t *testing.T) {
	const cloud = "acme.azurecr.io/kiln/app:k1-0"
	allow, err := registry.ParseAllow([]string{"acme.azurecr.io/other"})
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		change     func(*Config)
		push, pull string // passwords; none is anonymous
	}{
		"both":            {func(*Config) {}, "exchanged", "exchanged"},
		"another host":    {func(c *Config) { c.Push = "acme.azurecr.io.example.com/kiln/app:k1-0" }, "", ""},
		"a pull Secret":   {func(c *Config) { c.PullDockerConfig = t.TempDir() + "/none" }, "exchanged", ""},
		"not to be asked": {func(c *Config) { c.PullAllow = allow }, "exchanged", ""},
		"no identity":     {func(c *Config) { c.Identity = cloudlogin.Identity{} }, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			config := Config{
				Push:     cloud,
				Identity: cloudlogin.Identity{Cloud: cloudlogin.Azure, Registry: "acme.azurecr.io"},
				Exchange: func(context.Context, cloudlogin.Identity) (cloudlogin.Login, error) {
					return cloudlogin.Login{Username: "u", Password: "exchanged", Expires: time.Now().Add(time.Hour)}, nil
				},
			}
			tc.change(&config)
			policy, err := newPolicy(config)
			if err != nil {
				t.Fatal(err)
			}
			for _, account := range []struct {
				account
				want string
			}{{policy.pusher, tc.push}, {policy.puller, tc.pull}} {
				auth, err := authn.Resolve(t.Context(), account.keychain, policy.push.origin())
				if err != nil {
					t.Fatal(err)
				}
				config, err := authn.Authorization(t.Context(), auth)
				if err != nil || config.Password != account.want {
					t.Errorf("%s: password %q, error %v, want %q", account.name, config.Password, err, account.want)
				}
			}
		})
	}
}
