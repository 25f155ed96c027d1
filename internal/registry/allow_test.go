package registry_test

import (
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"kiln/internal/registry"
)

func TestAllow(t *testing.T) {
	tests := []struct {
		pattern, repository string
		want                bool
	}{
		{"ghcr.io", "ghcr.io/acme/tool", true},
		{"ghcr.io", "quay.io/acme/tool", false},
		{"GHCR.io", "ghcr.io/acme/tool", true},
		{"ghcr.io/acme/tool", "ghcr.io/acme/tool", true},
		{"ghcr.io/acme/tool", "ghcr.io/acme/tool/sub", false},
		{"ghcr.io/acme/*", "ghcr.io/acme/tool", true},
		{"ghcr.io/acme/*", "ghcr.io/acme/tool/sub", false},
		{"ghcr.io/acme/*", "ghcr.io/acmecorp/tool", false},
		{"ghcr.io/acme/build-*", "ghcr.io/acme/build-tools", true},
		{"ghcr.io/acme/build-*", "ghcr.io/acme/secret", false},
		{"ghcr.io/*/tool", "ghcr.io/acme/tool", true},
		{"ghcr.io/acme/**", "ghcr.io/acme/tool", true},
		{"ghcr.io/acme/**", "ghcr.io/acme/tool/sub", true},
		{"ghcr.io/acme/**", "ghcr.io/acme", false},
		{"ghcr.io/**", "ghcr.io/acme/tool", true},
		{"ghcr.io/**", "ghcr.io/acme", true},
		{"docker.io", "busybox", true},
		{"docker.io/**", "busybox", true},
		{"docker.io/busybox", "busybox", true},
		{"docker.io/*", "busybox", true},
		{"docker.io/*", "acme/tool", false},
		{"docker.io/acme/*", "acme/tool", true},
		{"*.azurecr.io/base/*", "acme.azurecr.io/base/go", true},
		{"*.azurecr.io", "a.b.azurecr.io/base/go", false},
		{"kiln-registry:5000/base/*", "kiln-registry:5000/base/go", true},
		{"kiln-registry:5000/base/*", "kiln-registry:5001/base/go", false},
	}
	for _, tt := range tests {
		allow, err := registry.ParseAllow([]string{"never.example.com", tt.pattern})
		if err != nil {
			t.Errorf("ParseAllow(%q): %v", tt.pattern, err)
			continue
		}
		repo, err := name.NewRepository(tt.repository)
		if err != nil {
			t.Fatal(err)
		}
		if got := allow.Allows(repo); got != tt.want {
			t.Errorf("%s allows %s: %v, want %v", tt.pattern, tt.repository, got, tt.want)
		}
	}
}

func TestAllowErrors(t *testing.T) {
	for _, pattern := range []string{"", "*", "https://ghcr.io", "ghcr.io/", "ghcr.io//tool", "ghcr.io/**/tool", "ghcr.io/a**", "ghcr.io/[ab]", "ghcr.io/tool:1", "[::1]/x"} {
		if allow, err := registry.ParseAllow([]string{pattern}); err == nil {
			t.Errorf("ParseAllow(%q) = %v, want an error", pattern, allow)
		}
	}
}

// Credentials are used where a pattern says so; without patterns everywhere.
func TestRestrict(t *testing.T) {
	file := registry.FileKeychain(writeFile(t, `{"auths":{`+entry("ghcr.io", "u")+`}}`))
	allow, err := registry.ParseAllow([]string{"ghcr.io/acme/*"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		allow      registry.Allow
		repository string
		anonymous  bool
	}{
		{nil, "ghcr.io/secret/app", false},
		{allow, "ghcr.io/acme/app", false},
		{allow, "ghcr.io/secret/app", true},
	} {
		repo, err := name.NewRepository(tt.repository)
		if err != nil {
			t.Fatal(err)
		}
		auth, err := registry.Restrict(file, tt.allow).Resolve(repo)
		if err != nil || (auth == authn.Anonymous) != tt.anonymous {
			t.Errorf("%s: %v, %v, want anonymous %v", tt.repository, auth, err, tt.anonymous)
		}
	}
}
