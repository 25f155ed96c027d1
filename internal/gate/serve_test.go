package gate_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"kiln/internal/gate"
	names "kiln/internal/registry"
)

func TestNewErrors(t *testing.T) {
	tests := []struct {
		name   string
		config gate.Config
		want   string
	}{
		{"no push reference", gate.Config{}, "push reference"},
		{"push reference without tag", gate.Config{Push: "ghcr.io/acme/app"}, "write registry/repository:tag"},
		{"push reference without registry", gate.Config{Push: "acme/app:1"}, "write registry/repository:tag"},
		{"push reference of an index", gate.Config{Push: "ghcr.io/acme/app:kiln-index-v1-00"}, "an index of a layer"},
		{"push reference by digest", gate.Config{Push: "ghcr.io/acme/app@" + someDigest}, "write registry/repository:tag"},
		{"pull reference", gate.Config{Push: "ghcr.io/acme/app:1", Pull: []string{"UPPER"}}, `pull reference "UPPER"`},
		{"insecure host", gate.Config{Push: "ghcr.io/acme/app:1", Insecure: []string{"http://x"}}, "KILN_INSECURE_REGISTRIES"},
		{"host for logins", gate.Config{Push: "ghcr.io/acme/app:1", PlainLogin: []string{"*"}}, "KILN_PLAIN_LOGIN"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := gate.New(tt.config); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("New error = %v, want %q", err, tt.want)
			}
		})
	}
}

// Stopping cuts off what is under way: here a download that never ends.
func TestServeStopsAtOnce(t *testing.T) {
	bases := newUpstream(t, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.URL.Path, "/blobs/") {
				return
			}
			w.Header().Set("Content-Length", "1000000")
			_, _ = io.WriteString(w, strings.Repeat("x", 100_000))
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		})
	})
	g, err := gate.New(gate.Config{
		Push:         bases.host + "/app:k1-0",
		Pull:         []string{bases.host + "/base:1"},
		Insecure:     []string{bases.host},
		PlainLogin:   []string{bases.host},
		DockerConfig: dockerConfig(t, bases.host),
		Transport:    transport(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- g.Serve(ctx, listener) }()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	element, err := names.Element(bases.host)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "GET /v2/"+element+"/base/blobs/"+someDigest+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if _, err := io.ReadAll(response.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the download ended with %v, want an unexpected EOF", err)
	}
}

// A client that opens connections without end waits once the gate holds 64.
func TestConnectionsAreBounded(t *testing.T) {
	g, _ := startPush(t, newUpstream(t, nil))
	var open []net.Conn
	defer func() {
		for _, conn := range open {
			_ = conn.Close()
		}
	}()
	for range 64 {
		conn, err := net.Dial("tcp", g.host)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, conn)
		ping(t, conn)
	}
	answered := make(chan struct{})
	conn, err := net.Dial("tcp", g.host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() {
		defer close(answered)
		ping(t, conn)
	}()
	select {
	case <-answered:
		t.Error("connection 65 is answered")
	default:
	}
	if err := open[0].Close(); err != nil {
		t.Fatal(err)
	}
	<-answered
}

func ping(t *testing.T, conn net.Conn) {
	if _, err := io.WriteString(conn, "GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Error(err)
		return
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Error(err)
		return
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("status = %d", response.StatusCode)
	}
}

// Layers pass through in pieces; the gate lives in 64 MiB.
func TestUploadsAreStreamed(t *testing.T) {
	const size = 128 << 20
	var got int64
	target := newUpstream(t, func(content http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodPatch {
				content.ServeHTTP(w, r)
				return
			}
			got, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusAccepted)
		})
	})
	g, manifestPath := startPush(t, target)
	uploads := strings.TrimSuffix(manifestPath, "manifests/k1-0") + "blobs/uploads/"
	if status, body := g.do(t, "POST", uploads, "", ""); status != http.StatusAccepted {
		t.Fatalf("answer %d %s", status, body)
	}
	request, err := http.NewRequestWithContext(t.Context(), "PATCH", "http://"+g.host+uploads+"1", io.LimitReader(zeros{}, size))
	if err != nil {
		t.Fatal(err)
	}
	request.ContentLength = size
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	response, err := transport(t).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; response.StatusCode != http.StatusAccepted || got != size || used > 16<<20 {
		t.Errorf("status %d, %d bytes arrived, %d bytes were allocated", response.StatusCode, got, used)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
