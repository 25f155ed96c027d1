//go:build e2e

package e2e_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	names "kiln/internal/registry"
)

const (
	// memoryLimit is that of the gate's container, in bytes.
	memoryLimit = 64 << 20
	// dataLimit is what the kernel lets the gate map for its data. 32 MiB of
	// it are an index that Go's runtime maps and hardly touches.
	dataLimit = 96 << 20
)

// TestGateMemory transfers a large layer both ways through a gate with the
// memory of a build pod's: the kernel refuses to map more, and counts what was
// resident.
func TestGateMemory(t *testing.T) {
	size := int64(256 << 20)
	if isLong() {
		size = 2 << 30
	}
	for _, protocol := range []string{"http/1.1", "h2"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			registry := &zeroRegistry{size: size}
			g := startGate(t, registry, protocol, dataLimit)
			want := zeroSum(t, size)
			if got := g.download(t); got != want {
				t.Errorf("the downloaded layer has the digest %s, want %s", got, want)
			}
			g.upload(t, size)
			if registry.taken != want {
				t.Errorf("the uploaded layer has the digest %s, want %s", registry.taken, want)
			}
			peak := g.stop(t)
			t.Logf("%d MiB down and up by %s: at most %d MiB resident", size>>20, protocol, peak>>20)
			if peak > memoryLimit {
				t.Errorf("the gate used %d bytes", peak)
			}
		})
	}
}

// zeroRegistry has one layer of zeros and takes one.
type zeroRegistry struct {
	size  int64
	taken string
}

// ServeHTTP implements http.Handler.
func (z *zeroRegistry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodPost:
		w.Header().Set("Location", r.URL.Path+"1")
		w.WriteHeader(http.StatusAccepted)
	case r.Method == http.MethodPatch:
		sum := sha256.New()
		_, _ = io.Copy(sum, r.Body)
		z.taken = hex.EncodeToString(sum.Sum(nil))
		w.WriteHeader(http.StatusAccepted)
	case strings.Contains(r.URL.Path, "/blobs/"):
		w.Header().Set("Content-Length", strconv.FormatInt(z.size, 10))
		_, _ = io.Copy(w, io.LimitReader(zeros{}, z.size))
	}
}

type zeros struct{}

// Read implements io.Reader.
func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// zeroSum is the digest of size zeros.
func zeroSum(t *testing.T, size int64) string {
	t.Helper()
	sum := sha256.New()
	if _, err := io.Copy(sum, io.LimitReader(zeros{}, size)); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// gateProcess is kilnd gate with the limits of its container.
type gateProcess struct {
	command *exec.Cmd
	output  *sync.WaitGroup // done when all that it says is read
	root    string          // the address of the repository at the gate
	client  *http.Client
}

// startGate starts a registry with TLS, and a gate before it that may map so much. In its
// flags REGISTRY is the registry's host.
func startGate(t *testing.T, registry http.Handler, protocol string, limit int, flags ...string) *gateProcess {
	t.Helper()
	server := httptest.NewUnstartedServer(registry)
	server.EnableHTTP2 = protocol == "h2"
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	authority := filepath.Join(t.TempDir(), "ca.crt")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(authority, block, 0o600); err != nil {
		t.Fatal(err)
	}
	host := strings.TrimPrefix(server.URL, "https://")
	element, err := names.Element(host)
	if err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	limited := fmt.Sprintf("ulimit -d %d; exec \"$0\" \"$@\"", limit>>10)
	for i := range flags {
		flags[i] = strings.ReplaceAll(flags[i], "REGISTRY", host)
	}
	arguments := append([]string{
		"-c", limited, "../bin/kilnd", "gate",
		"--listen=" + address, "--push=" + host + "/acme/app:1", "--pull=" + host + "/acme/base:1", "--ca-file=" + authority,
	}, flags...)
	command := exec.CommandContext(t.Context(), "bash", arguments...)
	command.Env = append(os.Environ(), "GOMEMLIMIT=48MiB")
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stderr = t.Output()
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	g := &gateProcess{command, new(sync.WaitGroup), "http://" + address + "/v2/" + element + "/acme/", &http.Client{Transport: &http.Transport{}}}
	t.Cleanup(func() { _ = command.Process.Kill(); _ = g.wait() })
	line := make([]byte, len("listening\n"))
	if _, err := io.ReadFull(output, line); err != nil || string(line) != "listening\n" {
		t.Fatalf("the gate says %q, %v", line, err)
	}
	g.output.Go(func() { _, _ = io.Copy(t.Output(), output) })
	return g
}

// wait waits for the end of the gate and of what it says.
func (g *gateProcess) wait() error {
	g.output.Wait()
	return g.command.Wait()
}

// download returns the digest of the layer that comes through the gate.
func (g *gateProcess) download(t *testing.T) string {
	t.Helper()
	response, err := g.client.Get(g.root + "base/blobs/sha256:" + strings.Repeat("a", 64))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, response.Body); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("download: %s, %v", response.Status, err)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// upload sends a layer through the gate.
func (g *gateProcess) upload(t *testing.T, size int64) {
	t.Helper()
	g.patch(t, io.LimitReader(zeros{}, size), size)
}

// patch sends a blob to a new upload, whose address it returns. A size of -1 is not known
// before.
func (g *gateProcess) patch(t *testing.T, blob io.Reader, size int64) string {
	t.Helper()
	response, err := g.client.Post(g.root+"app/blobs/uploads/", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	location, err := response.Location()
	if err != nil {
		t.Fatalf("%s: %v", response.Status, err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, location.String(), blob)
	if err != nil {
		t.Fatal(err)
	}
	request.ContentLength = size
	response, err = g.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusAccepted {
		t.Fatalf("upload: %s", response.Status)
	}
	return location.String()
}

// stop ends the gate and returns how much memory it had resident at most, in
// bytes.
func (g *gateProcess) stop(t *testing.T) int64 {
	t.Helper()
	peak := resident(t, g.command.Process.Pid)
	g.client.CloseIdleConnections()
	if err := g.command.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(10*time.Second, func() { _ = g.command.Process.Kill() })
	defer timer.Stop()
	if err := g.wait(); err != nil {
		t.Errorf("the gate ended with %v", err)
	}
	return peak
}

// resident is how much memory a process had resident at most, in bytes.
func resident(t *testing.T, pid int) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	var kib int64
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	if _, err := fmt.Sscan(after, &kib); err != nil {
		t.Fatalf("%v in %s", err, status)
	}
	return kib << 10
}
