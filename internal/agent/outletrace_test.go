package agent

import (
	"math/rand/v2"
	"path/filepath"
	"testing"
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
