package forward

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	// idleUDP is how long a client of which nothing comes keeps its port.
	idleUDP = 90 * time.Second
	// maxDatagram is the most that UDP carries.
	maxDatagram = 64 << 10
)

// udpEntry is a UDP port.
type udpEntry struct {
	socket *net.UDPConn

	mu      sync.Mutex
	clients map[netip.AddrPort]*net.UDPConn
}

func listenUDP(address netip.AddrPort) (entry, error) {
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(address))
	if err != nil {
		return nil, err
	}
	return &udpEntry{socket: c, clients: map[netip.AddrPort]*net.UDPConn{}}, nil
}

// Close ends the listening.
func (e *udpEntry) Close() error { return e.socket.Close() }

func (e *udpEntry) port() uint16 { return portOf(e.socket.LocalAddr()) }

func (e *udpEntry) serve(ctx context.Context, target netip.AddrPort) {
	var group sync.WaitGroup
	defer group.Wait()
	defer e.closeAll()
	datagram := make([]byte, maxDatagram)
	for {
		n, from, err := e.socket.ReadFromUDPAddrPort(datagram)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			pause(ctx)
			continue
		}
		service, isNew := e.towards(from, target)
		if service == nil {
			continue
		}
		if isNew {
			group.Go(func() { e.answer(from, service) })
		}
		_, _ = service.Write(datagram[:n]) // what is lost is lost, as with UDP it is
	}
}

// towards returns the socket of a client, nil where it can have none.
func (e *udpEntry) towards(client, target netip.AddrPort) (service *net.UDPConn, isNew bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if known := e.clients[client]; known != nil {
		_ = known.SetReadDeadline(time.Now().Add(idleUDP))
		return known, false
	}
	if len(e.clients) >= maxOpen {
		return nil, false
	}
	made, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(target))
	if err != nil {
		return nil, false
	}
	_ = made.SetReadDeadline(time.Now().Add(idleUDP))
	e.clients[client] = made
	return made, true
}

// answer passes answers on until the client is idle or the service gone.
func (e *udpEntry) answer(client netip.AddrPort, service *net.UDPConn) {
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.clients, client)
		_ = service.Close()
	}()
	datagram := make([]byte, maxDatagram)
	for {
		n, err := service.Read(datagram)
		if err != nil {
			return
		}
		_, _ = e.socket.WriteToUDPAddrPort(datagram[:n], client)
	}
}

// closeAll ends all answers.
func (e *udpEntry) closeAll() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, service := range e.clients {
		_ = service.Close()
	}
}
