package registry_test

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kiln/internal/registry"
)

func TestRoots(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	file := filepath.Join(t.TempDir(), "ca.crt")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(file, block, 0o600); err != nil {
		t.Fatal(err)
	}
	system, err := registry.Roots("")
	if err != nil {
		t.Fatal(err)
	}
	roots, err := registry.Roots(file)
	if err != nil {
		t.Fatal(err)
	}
	added := system.Clone()
	added.AddCert(server.Certificate())
	if roots.Equal(system) || !roots.Equal(added) {
		t.Error("the roots are not the system's and the file's")
	}
}

func TestRootsErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ca.crt")
	if _, err := registry.Roots(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a missing file: %v", err)
	}
	if err := os.WriteFile(file, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := registry.Roots(file); err == nil || !strings.Contains(err.Error(), file+" has no certificate") {
		t.Errorf("a file without certificates: %v", err)
	}
}
