package forwarder

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// TestAttendKeepsConnection: a client's connection says that the ports are closed, so it
// stays open over garbage collections for as long as nobody closes it.
func TestAttendKeepsConnection(t *testing.T) {
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ended := make(chan io.Closer)
	go attend(listener, ended)
	client, err := net.Dial("unix", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Write([]byte{0}); err != nil {
		t.Fatal(err)
	}
	open := func(within time.Duration) error {
		_ = client.SetReadDeadline(time.Now().Add(within))
		_, err := client.Read(make([]byte, 1))
		return err
	}
	for range 3 { // the second one runs what the first has found
		runtime.GC()
		if err := open(50 * time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("before it is taken: %v", err)
		}
	}
	taken := <-ended
	_ = taken.Close()
	if err := open(20 * time.Second); !errors.Is(err, io.EOF) {
		t.Errorf("after it is closed: %v", err)
	}
}
