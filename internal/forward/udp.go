package forward

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// idleUDP is how long a client keeps its port while nothing passes.
	idleUDP = 90 * time.Second
	// maxDatagram is the most that UDP carries.
	maxDatagram = 64 << 10
	// maxClients bounds the UDP clients of all ports, each of which has a socket.
	maxClients = 4000
)

// A datagrams is what UDP ports share: buffers, which are taken only while something
// passes, and the clients that there can be in all.
type datagrams struct {
	buffers sync.Pool
	clients atomic.Int64
}

// read waits for a datagram of a service, and gives it to take.
func (d *datagrams) read(service *net.UDPConn, take func([]byte)) error {
	raw, err := service.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		buffer, _ := d.buffers.Get().(*[maxDatagram]byte)
		if buffer == nil {
			buffer = new([maxDatagram]byte)
		}
		defer d.buffers.Put(buffer)
		n, _, err := unix.Recvfrom(int(fd), buffer[:], 0)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			return false
		}
		if failed = err; err == nil {
			take(buffer[:n])
		}
		return true
	})
	return errors.Join(err, failed)
}

// udpEntry is a UDP port.
type udpEntry struct {
	socket *net.UDPConn
	shared *datagrams
	idle   time.Duration

	mu      sync.Mutex
	clients map[netip.AddrPort]*net.UDPConn
}

func listenUDP(address netip.AddrPort, shared *datagrams) (entry, error) {
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(address))
	if err != nil {
		return nil, err
	}
	return &udpEntry{socket: c, shared: shared, idle: idleUDP, clients: map[netip.AddrPort]*net.UDPConn{}}, nil
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
		_ = known.SetReadDeadline(time.Now().Add(e.idle))
		return known, false
	}
	if len(e.clients) >= maxOpen || e.shared.clients.Load() >= maxClients {
		return nil, false
	}
	made, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(target))
	if err != nil {
		return nil, false
	}
	_ = made.SetReadDeadline(time.Now().Add(e.idle))
	e.clients[client] = made
	e.shared.clients.Add(1)
	return made, true
}

// answer passes answers on until the client is idle or the service gone.
func (e *udpEntry) answer(client netip.AddrPort, service *net.UDPConn) {
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.clients, client)
		e.shared.clients.Add(-1)
		_ = service.Close()
	}()
	for e.shared.read(service, func(datagram []byte) { _, _ = e.socket.WriteToUDPAddrPort(datagram, client) }) == nil {
		_ = service.SetReadDeadline(time.Now().Add(e.idle))
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
