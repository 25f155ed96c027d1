package cloudlogin

import (
	"context"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
)

const (
	// margin is how long before its end a login is renewed, at most a third of
	// its life.
	margin = 15 * time.Minute
	// pause is how long a failure is remembered, so that a registry's requests
	// do not each ask the cloud again.
	pause = 10 * time.Second
	// patience ends an exchange for those who bring no deadline.
	patience = time.Minute
)

// Exchange gets a login.
type Exchange func(context.Context, Identity) (Login, error)

// keychain holds the login of one identity.
type keychain struct {
	identity Identity
	exchange Exchange
	others   authn.Keychain
	now      func() time.Time

	turn   chan struct{} // who is in it may exchange, and touch what follows
	login  Login
	renew  time.Time
	failed error
	again  time.Time
}

// Keychain returns the login of identity for its registry, and what others has
// for every other one; an identity that is not set changes nothing. A login is
// asked for when it is first needed, and renewed before it ends; while renewing
// fails, it is used to its end. The keychain is safe for concurrent use.
func Keychain(identity Identity, exchange Exchange, others authn.Keychain) authn.Keychain {
	if !identity.Set() {
		return others
	}
	return newKeychain(identity, exchange, others, time.Now)
}

func newKeychain(identity Identity, exchange Exchange, others authn.Keychain, now func() time.Time) *keychain {
	return &keychain{identity: identity, exchange: exchange, others: others, now: now, turn: make(chan struct{}, 1)}
}

// Resolve implements [authn.Keychain].
func (k *keychain) Resolve(target authn.Resource) (authn.Authenticator, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return k.ResolveContext(ctx, target)
}

// ResolveContext implements [authn.ContextKeychain].
func (k *keychain) ResolveContext(ctx context.Context, target authn.Resource) (authn.Authenticator, error) {
	if target.RegistryStr() != k.identity.Registry {
		return authn.Resolve(ctx, k.others, target)
	}
	login, err := k.current(ctx)
	if err != nil {
		return nil, err
	}
	return authn.FromConfig(authn.AuthConfig{Username: login.Username, Password: login.Password}), nil
}

// current returns a login that is good for a while.
func (k *keychain) current(ctx context.Context) (Login, error) {
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return Login{}, ctx.Err()
	}
	now := k.now()
	valid := k.login.Password != "" && now.Before(k.login.Expires)
	switch {
	case valid && now.Before(k.renew), valid && now.Before(k.again):
		return k.login, nil
	case now.Before(k.again):
		return Login{}, k.failed
	}
	login, err := k.exchange(ctx, k.identity)
	if err != nil {
		k.failed, k.again = err, k.now().Add(pause)
		if valid {
			return k.login, nil
		}
		return Login{}, err
	}
	life := login.Expires.Sub(now)
	k.login, k.failed, k.again = login, nil, time.Time{}
	k.renew = login.Expires.Add(-min(margin, life/3))
	return login, nil
}
