package resolver

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/net/dns/dnsmessage"
)

// Resolver looks names up. It is safe for concurrent use.
type Resolver struct {
	config Config
	asked  atomic.Uint32
}

// New returns a resolver that goes by config.
func New(config Config) *Resolver { return &Resolver{config: config} }

// errNoHost is what the name servers say of a name that nobody has.
var errNoHost = errors.New("no such host")

// Lookup returns the addresses of host, IPv4 first: at least one, or an error of
// type [*net.DNSError].
func (r *Resolver) Lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if address, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{address}, nil
	}
	if known := r.config.Hosts[bare(host)]; len(known) > 0 {
		return known, nil
	}
	failed := errNoHost
	for _, name := range r.config.candidates(host) {
		addresses, err := r.addresses(ctx, name)
		if len(addresses) > 0 {
			return addresses, nil
		}
		if ctx.Err() != nil {
			return nil, r.failure(host, ctx.Err())
		}
		if !errors.Is(err, errNoHost) && errors.Is(failed, errNoHost) {
			failed = err
		}
	}
	return nil, r.failure(host, failed)
}

// failure is the error for a host that was not found.
func (r *Resolver) failure(host string, err error) error {
	servers := make([]string, 0, len(r.config.Servers))
	for _, server := range r.config.Servers {
		servers = append(servers, server.String())
	}
	failed := &net.DNSError{UnwrapErr: err, Err: err.Error(), Name: host, Server: strings.Join(servers, ", ")}
	failed.IsNotFound = errors.Is(err, errNoHost)
	failed.IsTimeout = errors.Is(err, context.DeadlineExceeded)
	failed.IsTemporary = !failed.IsNotFound
	return failed
}

// addresses asks for both kinds of addresses of a name with a dot at the end. An
// error counts where there are none.
func (r *Resolver) addresses(ctx context.Context, name string) ([]netip.Addr, error) {
	first := 0
	if r.config.Rotate {
		first = int(r.asked.Add(1) % maxServers)
	}
	var found [2][]netip.Addr
	var errs [2]error
	var group sync.WaitGroup
	for i, kind := range []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA} {
		group.Go(func() { found[i], errs[i] = r.ask(ctx, first, question{name, kind}) })
	}
	group.Wait()
	for _, err := range errs {
		if err != nil && !errors.Is(err, errNoHost) {
			return append(found[0], found[1]...), err
		}
	}
	return append(found[0], found[1]...), errNoHost
}

// ask asks the name servers, one after another from first on, until one of them
// knows.
func (r *Resolver) ask(ctx context.Context, first int, q question) ([]netip.Addr, error) {
	servers := r.config.Servers
	if len(servers) == 0 {
		return nil, errors.New("there is no name server in " + NameServerFile)
	}
	var failed error
	for range r.config.Attempts {
		for i := range servers {
			addresses, err := r.query(ctx, servers[(first+i)%len(servers)], q)
			if err == nil || errors.Is(err, errNoHost) || ctx.Err() != nil {
				return addresses, err
			}
			failed = err
		}
	}
	return nil, failed
}
