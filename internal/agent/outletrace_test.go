package agent

import (
	"math/rand/v2"
	"net"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// TestOutletBothSidesAgree settles an outlet at every moment of a conversation:
// whoever has the write end was said to have it, and nobody else.
func TestOutletBothSidesAgree(t *testing.T) {
	token := []byte("0123456789abcdef")
	random := rand.New(rand.NewPCG(1, 2))
	outcomes := map[bool]int{}
	for i := range 150 {
		socket := filepath.Join(t.TempDir(), "s")
		o, err := OpenOutlet(socket, token)
		if err != nil {
			t.Fatal(err)
		}
		has := make(chan bool)
		go func() {
			conn, descriptor, err := takeOutlet(socket, token)
			if err == nil {
				_ = unix.Close(descriptor)
				_ = conn.Close()
			}
			has <- err == nil
		}()
		time.Sleep(time.Duration(random.IntN(400)) * time.Microsecond)
		o.Settle()
		if took := <-has; took != o.Taken() {
			t.Fatalf("round %d: the action took it: %v, the outlet says %v", i, took, o.Taken())
		}
		outcomes[o.Taken()]++
		o.Close()
	}
	if outcomes[true] == 0 || outcomes[false] == 0 {
		t.Logf("only one outcome was seen: %v", outcomes)
	}
}

// Strangers keep nobody from settling an outlet, not even for a moment.
func TestOutletStrangers(t *testing.T) {
	read, write, err := newPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	synctest.Test(t, func(t *testing.T) {
		listener := piped{conns: make(chan net.Conn, 40), closed: make(chan struct{}, 10)}
		for range cap(listener.conns) {
			conn, stranger := net.Pipe()
			defer stranger.Close()
			listener.conns <- conn
		}
		o := &Outlet{listener: listener, read: read, write: write, settled: make(chan struct{}), heard: map[net.Conn]bool{}}
		go o.accept()
		synctest.Wait()
		if len(o.heard) != maxOutletPeers {
			t.Errorf("%d of them are heard", len(o.heard))
		}
		began := time.Now()
		o.Settle()
		if took := time.Since(began); took > 0 || o.Taken() {
			t.Errorf("settled after %v, taken: %v", took, o.Taken())
		}
	})
}

// A piped listener has the connections of a channel.
type piped struct {
	conns  chan net.Conn
	closed chan struct{} // an item for each Close
}

// Accept implements net.Listener, as the other methods do.
func (l piped) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (piped) Addr() net.Addr { return &net.UnixAddr{} }

func (l piped) Close() error {
	l.closed <- struct{}{}
	return nil
}
