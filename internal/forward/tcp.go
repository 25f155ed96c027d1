package forward

import (
	"context"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// dialTime is what a service has to take a connection.
const dialTime = 10 * time.Second

// tcpEntry is a TCP port.
type tcpEntry struct {
	listener *net.TCPListener
	shared   chan struct{} // a turn for each connection of all ports
}

func listenTCP(address netip.AddrPort, shared chan struct{}) (entry, error) {
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(address))
	if err != nil {
		return nil, err
	}
	return tcpEntry{l, shared}, nil
}

// Close ends the listening.
func (e tcpEntry) Close() error { return e.listener.Close() }

func (e tcpEntry) port() uint16 { return portOf(e.listener.Addr()) }

func (e tcpEntry) serve(ctx context.Context, target netip.AddrPort) {
	turns := make(chan struct{}, maxOpen)
	var group sync.WaitGroup
	defer group.Wait()
	for {
		turns <- struct{}{}
		client, err := e.listener.AcceptTCP()
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			// Out of descriptors, or the client has gone: there will be others.
			<-turns
			pause(ctx)
			continue
		}
		select {
		case e.shared <- struct{}{}:
		case <-ctx.Done():
			_ = client.Close()
			return
		}
		group.Go(func() {
			defer func() { <-turns; <-e.shared }()
			connect(ctx, client, target)
		})
	}
}

// pause keeps a failing accept from spinning.
func pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(50 * time.Millisecond):
	}
}

// connect joins a client with the service until both are done, or ctx is.
func connect(ctx context.Context, client *net.TCPConn, target netip.AddrPort) {
	defer client.Close()
	dialer := net.Dialer{Timeout: dialTime}
	made, err := dialer.DialContext(ctx, "tcp", target.String())
	service, ok := made.(*net.TCPConn)
	if err != nil || !ok {
		_ = client.SetLinger(0) // reset: the service did not take it
		return
	}
	defer service.Close()
	stop := context.AfterFunc(ctx, func() {
		_ = client.Close()
		_ = service.Close()
	})
	defer stop()
	var group sync.WaitGroup
	group.Go(func() { pass(service, client) })
	group.Go(func() { pass(client, service) })
	group.Wait()
}

// pass copies one direction and hands its end on. A direction that breaks ends the
// connection.
func pass(to, from *net.TCPConn) {
	if _, err := io.Copy(to, from); err != nil {
		_ = to.SetLinger(0)
		_ = to.Close()
		_ = from.Close()
		return
	}
	_ = to.CloseWrite()
}
