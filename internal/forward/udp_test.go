package forward

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"
)

// TestIdleUDP: a client that asked once is answered for longer than it may be idle, as
// long as answers come.
func TestIdleUDP(t *testing.T) {
	t.Parallel()
	const idle, pace, answers = 6 * time.Second, 600 * time.Millisecond, 12
	service, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	go func() {
		_, from, err := service.ReadFrom(make([]byte, 10))
		for range answers {
			if err == nil {
				time.Sleep(pace)
				_, err = service.WriteTo([]byte("on"), from)
			}
		}
	}()
	made, err := listenUDP(netip.MustParseAddrPort("127.0.0.1:0"), &datagrams{})
	if err != nil {
		t.Fatal(err)
	}
	entry := made.(*udpEntry)
	entry.idle = idle
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	defer group.Wait()
	defer made.Close()
	defer cancel()
	group.Go(func() { made.serve(ctx, netip.MustParseAddrPort(service.LocalAddr().String())) })
	client, err := net.Dial("udp", made.(*udpEntry).socket.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Write([]byte("go")); err != nil {
		t.Fatal(err)
	}
	for n := range answers {
		_ = client.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := client.Read(make([]byte, 10)); err != nil {
			t.Fatalf("answer %d: %v", n+1, err)
		}
	}
}
