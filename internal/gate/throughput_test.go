package gate_test

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"kiln/internal/gate"
	names "kiln/internal/registry"
)

// layerSize is the size of the layer that the benchmark transfers.
const layerSize = 256 << 20

// BenchmarkGate transfers one layer again and again, in turn straight from or to
// a registry that speaks TLS and through the gate, and reports the rate of both
// and their ratio. Registry and client hash what they get, as real ones do.
func BenchmarkGate(b *testing.B) {
	for _, protocol := range []string{"http/1.1", "h2"} {
		for name, transfer := range map[string]func(*testing.B, *http.Client, string){"download": download, "upload": upload} {
			b.Run(protocol+"/"+name, func(b *testing.B) {
				direct, through := layerPaths(b, protocol)
				var alone, gated time.Duration
				for b.Loop() {
					alone += timed(func() { transfer(b, direct.client, direct.url) })
					gated += timed(func() { transfer(b, through.client, through.url) })
				}
				rate := func(d time.Duration) float64 { return float64(b.N) * layerSize / 1e6 / d.Seconds() }
				b.ReportMetric(rate(alone), "direct-MB/s")
				b.ReportMetric(rate(gated), "gate-MB/s")
				b.ReportMetric(100*alone.Seconds()/gated.Seconds(), "%-of-direct")
			})
		}
	}
}

func timed(f func()) time.Duration {
	began := time.Now()
	f()
	return time.Since(began)
}

// layerPath is one way to the repository with the layer.
type layerPath struct {
	client *http.Client
	url    string
}

// layerPaths starts a registry with TLS and a gate before it.
func layerPaths(b *testing.B, protocol string) (direct, through layerPath) {
	server := httptest.NewUnstartedServer(layerRegistry{})
	server.EnableHTTP2 = protocol == "h2"
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	b.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "https://")
	caFile := filepath.Join(b.TempDir(), "ca.crt")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(caFile, block, 0o600); err != nil {
		b.Fatal(err)
	}
	handler, err := gate.New(gate.Config{Push: host + "/acme/app:1", Pull: []string{host + "/acme/app:2"}, CAFile: caFile})
	if err != nil {
		b.Fatal(err)
	}
	front := httptest.NewServer(handler)
	b.Cleanup(front.Close)
	element, err := names.Element(host)
	if err != nil {
		b.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: protocol == "h2"}
	b.Cleanup(tr.CloseIdleConnections)
	plain := &http.Transport{}
	b.Cleanup(plain.CloseIdleConnections)
	return layerPath{&http.Client{Transport: tr}, server.URL + "/v2/acme/app"},
		layerPath{&http.Client{Transport: plain}, front.URL + "/v2/" + element + "/acme/app"}
}

// layerRegistry has one layer and takes any upload.
type layerRegistry struct{}

func (layerRegistry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodPost:
		w.Header().Set("Location", r.URL.Path+"1")
		w.WriteHeader(http.StatusAccepted)
	case r.Method == http.MethodPatch:
		_, _ = io.Copy(sha256.New(), r.Body)
		w.WriteHeader(http.StatusAccepted)
	case strings.Contains(r.URL.Path, "/blobs/"):
		w.Header().Set("Content-Length", strconv.Itoa(layerSize))
		_, _ = io.Copy(w, io.LimitReader(zeros{}, layerSize))
	}
}

func download(b *testing.B, client *http.Client, url string) {
	response, err := client.Get(url + "/blobs/" + someDigest)
	if err != nil {
		b.Fatal(err)
	}
	defer response.Body.Close()
	if n, err := io.Copy(sha256.New(), response.Body); n != layerSize || err != nil {
		b.Fatalf("%s: %d bytes, %v", response.Status, n, err)
	}
}

func upload(b *testing.B, client *http.Client, url string) {
	response, err := client.Post(url+"/blobs/uploads/", "", nil)
	if err != nil {
		b.Fatal(err)
	}
	_ = response.Body.Close()
	location, err := response.Location()
	if err != nil {
		b.Fatal(err)
	}
	request, err := http.NewRequestWithContext(b.Context(), http.MethodPatch, location.String(), io.LimitReader(zeros{}, layerSize))
	if err != nil {
		b.Fatal(err)
	}
	request.ContentLength = layerSize
	response, err = client.Do(request)
	if err != nil {
		b.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusAccepted {
		b.Fatal(fmt.Errorf("PATCH: %s", response.Status))
	}
}
