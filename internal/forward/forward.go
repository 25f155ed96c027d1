package forward

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"

	"kiln/internal/failure"
)

// Rule is one port that leads to a service.
type Rule struct {
	// Service is what the author calls it.
	Service string
	// Protocol is tcp or udp.
	Protocol string
	// Host is the port here; 0 is any that is free.
	Host uint16
	// Target is the service.
	Target netip.AddrPort
}

const (
	// maxOpen bounds what one port has open at a time.
	maxOpen = 1000
	// maxConnections bounds the TCP connections of all ports.
	maxConnections = 4000
	// maxRules bounds the ports of a job.
	maxRules = 200
)

// Forwarder holds ports open. It is safe for concurrent use.
type Forwarder struct {
	ctx    context.Context
	cancel context.CancelFunc
	opened []closer
	group  sync.WaitGroup
	shared datagrams
	turns  chan struct{} // one for each TCP connection
}

// closer ends what listens.
type closer interface{ Close() error }

// Open opens the ports of all rules, and returns the rules with the ports that they
// got. The error is the author's: a port is taken, or wanted twice.
func Open(rules []Rule) (*Forwarder, []Rule, error) {
	if len(rules) > maxRules {
		return nil, nil, failure.New(failure.BadRequest, "ports: the services of the job want %d ports of the runner, of which kiln opens %d at most", len(rules), maxRules)
	}
	if err := once(rules); err != nil {
		return nil, nil, err
	}
	f := newForwarder()
	made := make([]Rule, len(rules))
	// Ports that are asked for come first, so that none of them is given away as any.
	for _, asked := range []bool{true, false} {
		for i, rule := range rules {
			if (rule.Host != 0) != asked {
				continue
			}
			var err error
			if made[i], err = f.open(rule); err != nil {
				f.Close()
				return nil, nil, err
			}
		}
	}
	return f, made, nil
}

// Reopen opens the ports that an earlier Forwarder had, of those rules that [Open]
// returned. The error is about those that cannot be opened; the others are open.
func Reopen(rules []Rule) (*Forwarder, error) {
	f := newForwarder()
	var errs []error
	for _, rule := range rules {
		_, err := f.open(rule)
		errs = append(errs, err)
	}
	return f, errors.Join(errs...)
}

// newForwarder returns one without ports.
func newForwarder() *Forwarder {
	f := &Forwarder{turns: make(chan struct{}, maxConnections)}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	return f
}

// once refuses a port that two rules want.
func once(rules []Rule) error {
	type port struct {
		protocol string
		number   uint16
	}
	seen := map[port]string{}
	for _, rule := range rules {
		at := port{rule.Protocol, rule.Host}
		if other, twice := seen[at]; twice && rule.Host != 0 {
			return failure.New(failure.BadRequest, "ports: the services %s and %s both want the port %d/%s of the runner; map one of them to another", other, rule.Service, rule.Host, rule.Protocol)
		}
		seen[at] = rule.Service
	}
	return nil
}

// Close closes all ports and connections.
func (f *Forwarder) Close() {
	f.cancel()
	for _, c := range f.opened {
		_ = c.Close()
	}
	f.group.Wait()
}

// anyTries is how often a port is looked for that is free in both address families.
const anyTries = 20

// open opens the port of a rule.
func (f *Forwarder) open(rule Rule) (Rule, error) {
	tries := 1
	if rule.Host == 0 {
		tries = anyTries
	}
	var err error
	for range tries {
		var made Rule
		if made, err = f.try(rule); err == nil || !errors.Is(err, syscall.EADDRINUSE) {
			return made, err
		}
	}
	return Rule{}, failure.New(failure.BadRequest, "ports: the port %d/%s for the service %s is taken in the runner pod; map another one, as %d:PORT: %w", rule.Host, rule.Protocol, rule.Service, otherPort(rule.Host), err)
}

// otherPort is one to propose.
func otherPort(port uint16) int { return int(port)%50_000 + 10_000 }

// try opens a port in both address families, or in none.
func (f *Forwarder) try(rule Rule) (Rule, error) {
	four, err := f.listen(rule, netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	if err != nil {
		return Rule{}, err
	}
	rule.Host = four.port()
	six, err := f.listen(rule, netip.IPv6Loopback())
	switch {
	case err == nil:
		f.serve(six, rule)
	case !noIPv6(err):
		_ = four.Close()
		return Rule{}, err
	}
	f.serve(four, rule)
	return rule, nil
}

// noIPv6 tells a machine without it.
func noIPv6(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)
}

// entry is where clients come in.
type entry interface {
	closer
	port() uint16
	serve(ctx context.Context, target netip.AddrPort)
}

// serve serves an entry until the forwarder is closed.
func (f *Forwarder) serve(e entry, rule Rule) {
	f.opened = append(f.opened, e)
	f.group.Go(func() { e.serve(f.ctx, rule.Target) })
}

// listen opens the port of a rule at one address.
func (f *Forwarder) listen(rule Rule, at netip.Addr) (entry, error) {
	address := netip.AddrPortFrom(at, rule.Host)
	var made entry
	var err error
	if rule.Protocol == "udp" {
		made, err = listenUDP(address, &f.shared)
	} else {
		made, err = listenTCP(address, f.turns)
	}
	if err != nil {
		return nil, fmt.Errorf("open the port %d/%s for the service %s: %w", rule.Host, rule.Protocol, rule.Service, err)
	}
	return made, nil
}

// portOf is the port of an address of this machine.
func portOf(address net.Addr) uint16 {
	return netip.MustParseAddrPort(address.String()).Port()
}
