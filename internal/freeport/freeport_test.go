package freeport

import (
	"fmt"
	"net"
	"testing"
)

func TestFind(t *testing.T) {
	for range 20 {
		port, err := Find()
		if err != nil || port < 10_000 || port >= 30_000 {
			t.Fatalf("%d, %v", port, err)
		}
		if conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			_ = conn.Close()
			t.Errorf("somebody listens at %d", port)
		}
	}
}
