package resolver

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"
)

const (
	// connectTimeout is how long a host may take to accept a connection.
	connectTimeout = 15 * time.Second
	// headStart is how long one address has before the next is tried beside it
	// (RFC 8305, section 5).
	headStart = 300 * time.Millisecond
)

// DialContext connects with a host as [net.Dialer.DialContext] does, with the
// names that r knows. The first of a host's addresses that accepts is taken.
func (r *Resolver) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	addresses, err := r.Lookup(ctx, host)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	return race(ctx, addresses, func(ctx context.Context, address netip.Addr) (net.Conn, error) {
		dialer := net.Dialer{KeepAlive: 30 * time.Second}
		return dialer.DialContext(ctx, network, net.JoinHostPort(address.String(), port))
	})
}

// dialed is the outcome of one attempt.
type dialed struct {
	conn net.Conn
	err  error
}

// race tries addresses, each a head start after the one before or when that has
// failed, and returns the first connection. Others are closed.
func race(ctx context.Context, addresses []netip.Addr, dial func(context.Context, netip.Addr) (net.Conn, error)) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	outcomes := make(chan dialed)
	started, failed := 0, 0
	start := func() {
		address := addresses[started]
		started++
		go func() {
			conn, err := dial(ctx, address)
			select {
			case outcomes <- dialed{conn, err}:
			case <-ctx.Done():
				if err == nil {
					_ = conn.Close()
				}
			}
		}()
	}
	start()
	ticker := time.NewTicker(headStart)
	defer ticker.Stop()
	var errs []error
	for {
		select {
		case outcome := <-outcomes:
			if outcome.err == nil {
				return outcome.conn, nil
			}
			errs = append(errs, outcome.err)
			if failed++; failed == len(addresses) {
				return nil, errors.Join(errs...)
			}
			if failed == started {
				start()
			}
		case <-ticker.C:
			if started < len(addresses) {
				start()
			}
		case <-ctx.Done():
			return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(addresses[0], 0)), Err: context.Cause(ctx)}
		}
	}
}
