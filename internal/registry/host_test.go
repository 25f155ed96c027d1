package registry_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"

	"kiln/internal/registry"
)

func TestElement(t *testing.T) {
	tests := []struct{ host, element, back string }{
		{"ghcr.io", "ghcr__io", "ghcr.io"},
		{"GHCR.io", "ghcr__io", "ghcr.io"},
		{"docker.io", "index__docker__io", "index.docker.io"},
		{"kiln-registry:5000", "kiln-registry_5000", "kiln-registry:5000"},
		{"10.0.0.7:5000", "10__0__0__7_5000", "10.0.0.7:5000"},
	}
	for _, tt := range tests {
		element, err := registry.Element(tt.host)
		if err != nil || element != tt.element {
			t.Errorf("Element(%q) = %q, %v, want %q", tt.host, element, err, tt.element)
		}
		back, err := registry.FromElement(element)
		if err != nil || back != tt.back {
			t.Errorf("FromElement(%q) = %q, %v, want %q", element, back, err, tt.back)
		}
	}
}

func TestElementRefuses(t *testing.T) {
	for _, host := range []string{"", "[::1]:5000", "a_b", "a/b", "-a", "a:b", "https://a.io", "a b"} {
		if element, err := registry.Element(host); err == nil {
			t.Errorf("Element(%q) = %q, want an error", host, element)
		}
	}
	for _, element := range []string{"", "..", "Ghcr.io", "a_b", "a_1_2", "docker__io", "a:5000_1", "ghcr.io"} {
		if host, err := registry.FromElement(element); err == nil {
			t.Errorf("FromElement(%q) = %q, want an error", element, host)
		}
	}
}

func TestMirrors(t *testing.T) {
	mirrors, err := registry.ParseMirrors([]string{"docker.io=kiln-registry:5000", "quay.io=harbor.example.com/quay/"})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"index.docker.io=kiln-registry:5000", "quay.io=harbor.example.com/quay"}
	if diff := cmp.Diff(want, mirrors.Pairs()); diff != "" {
		t.Errorf("Pairs (-want +got):\n%s", diff)
	}
	tests := []struct{ repository, mirror string }{
		{"busybox", "kiln-registry:5000/library/busybox"},
		{"quay.io/acme/app", "harbor.example.com/quay/acme/app"},
		{"ghcr.io/acme/app", ""},
	}
	for _, tt := range tests {
		repo, err := name.NewRepository(tt.repository)
		if err != nil {
			t.Fatal(err)
		}
		mirror, found := mirrors.Repository(repo)
		if found != (tt.mirror != "") || found && mirror.Name() != tt.mirror {
			t.Errorf("Repository(%s) = %s, %v, want %q", repo, mirror, found, tt.mirror)
		}
	}
}

func TestMirrorErrors(t *testing.T) {
	for _, pair := range []string{"docker.io", "=x:5000", "docker.io=", "docker.io=https://x.io", "docker.io=mirror"} {
		if _, err := registry.ParseMirrors([]string{pair}); err == nil {
			t.Errorf("ParseMirrors(%q) has no error", pair)
		}
	}
}

func TestParseInsecure(t *testing.T) {
	got, err := registry.ParseInsecure([]string{"kiln-registry:5000", "docker.io", "kiln-registry:5000"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"index.docker.io", "kiln-registry:5000"}, got); diff != "" {
		t.Errorf("ParseInsecure (-want +got):\n%s", diff)
	}
	if _, err := registry.ParseInsecure([]string{"http://x:5000"}); err == nil {
		t.Error("a URL is accepted")
	}
}
