package agent

import (
	"context"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

const jobSecret = "0123456789abcdef"

// Who has the secret is let in, also where it comes late. Who tells another one hears
// that, and who tells none is hung up on without a word: it may be a client that is late.
func TestLetIn(t *testing.T) {
	told, another := frame{kindSecret, []byte(jobSecret)}.append(nil), frame{kindSecret, []byte("x")}.append(nil)
	for name, tt := range map[string]struct {
		says  []byte
		after time.Duration
		in    bool
		hears string
		took  time.Duration
	}{
		"at once":       {says: told, in: true},
		"late":          {says: told, after: 9 * time.Second, in: true, took: 9 * time.Second},
		"too late":      {says: told, after: time.Minute, took: secretLimit},
		"another":       {says: another, hears: "R"},
		"a longer one":  {says: []byte{byte(kindSecret), 0, 1, 0, 0}, hears: "R"},
		"a call":        {says: []byte{byte(kindCall), 0, 0, 0, 1}, hears: "R"},
		"half a header": {says: told[:3], took: secretLimit},
		"half of it":    {says: told[:9], took: secretLimit},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, conn := net.Pipe()
				defer client.Close()
				defer time.AfterFunc(tt.after, func() { _, _ = client.Write(tt.says) }).Stop()
				heard := make(chan string, 1)
				go func() {
					answer, _ := io.ReadAll(client)
					heard <- string(answer[:min(len(answer), 1)])
				}()
				began := time.Now()
				in := letsIn(t.Context(), conn)
				took := time.Since(began)
				_ = conn.Close()
				if got := <-heard; in != tt.in || got != tt.hears || took != tt.took {
					t.Errorf("let in: %v, heard %q, after %v; want %v, %q, %v", in, got, took, tt.in, tt.hears, tt.took)
				}
			})
		})
	}
}

// The end of a container does not wait for strangers.
func TestLetInEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		client, conn := net.Pipe()
		defer client.Close()
		began := time.Now()
		if in, took := letsIn(ctx, conn), time.Since(began); in || took != time.Second {
			t.Errorf("let in: %v, after %v", in, took)
		}
	})
}

// letsIn reports whether a server with the secret lets a connection in.
func letsIn(ctx context.Context, conn net.Conn) bool {
	s := &server{config: Config{Secret: []byte(jobSecret)}}
	return s.letIn(ctx, &peer{conn}, &strangers{}, make(chan struct{}, 1))
}
