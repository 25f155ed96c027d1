package forward

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"
)

// TestTurns: a connection waits for a turn that another port's has, and is served when
// that ends.
func TestTurns(t *testing.T) {
	service, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	target := netip.MustParseAddrPort(service.Addr().String())
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	shared := make(chan struct{}, 1)
	var clients []net.Conn
	for range 2 {
		made, err := listenTCP(netip.MustParseAddrPort("127.0.0.1:0"), shared)
		if err != nil {
			t.Fatal(err)
		}
		defer made.Close()
		group.Go(func() { made.serve(ctx, target) })
		client, err := net.Dial("tcp", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), made.port()).String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		clients = append(clients, client)
	}
	first, err := service.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if len(shared) != 1 {
		t.Errorf("%d turns are taken", len(shared))
	}
	second := make(chan net.Conn, 1)
	go func() {
		conn, _ := service.Accept()
		second <- conn
	}()
	select {
	case <-second:
		t.Error("the second connection did not wait")
	case <-time.After(50 * time.Millisecond):
	}
	_ = first.Close()
	for _, client := range clients {
		_ = client.Close()
	}
	if conn := <-second; conn != nil {
		_ = conn.Close()
	}
}
