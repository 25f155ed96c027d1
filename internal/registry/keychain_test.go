package registry_test

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"kiln/internal/registry"
)

// resolve returns the user name that the file with content gives for repository.
func resolve(t *testing.T, content, repository string) string {
	t.Helper()
	return resolveFile(t, writeFile(t, content), repository)
}

func resolveFile(t *testing.T, file, repository string) string {
	t.Helper()
	repo, err := name.NewRepository(repository)
	if err != nil {
		t.Fatal(err)
	}
	auth, err := registry.FileKeychain(file).Resolve(repo)
	if err != nil {
		t.Fatal(err)
	}
	config, err := auth.Authorization()
	if err != nil {
		t.Fatal(err)
	}
	return config.Username
}

func writeFile(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), ".dockerconfigjson")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func entry(key, user string) string {
	return `"` + key + `":{"auth":"` + base64.StdEncoding.EncodeToString([]byte(user+":secret")) + `"}`
}

func TestFileKeychainMatches(t *testing.T) {
	tests := []struct {
		name, entries, repository, want string
	}{
		{"host", entry("ghcr.io", "u"), "ghcr.io/acme/app", "u"},
		{"scheme", entry("https://ghcr.io", "u"), "ghcr.io/acme/app", "u"},
		{"scheme and slash", entry("https://ghcr.io/", "u"), "ghcr.io/acme/app", "u"},
		{"port", entry("kiln-registry:5000", "u"), "kiln-registry:5000/app", "u"},
		{"other port", entry("kiln-registry:5001", "u"), "kiln-registry:5000/app", ""},
		{"other host", entry("ghcr.io", "u"), "quay.io/acme/app", ""},
		{"suffix of a host", entry("cr.io", "u"), "ghcr.io/acme/app", ""},
		{"Docker Hub, classic key", entry("https://index.docker.io/v1/", "u"), "busybox", "u"},
		{"Docker Hub, short key", entry("docker.io", "u"), "busybox", "u"},
		{"Docker Hub, API host", entry("registry-1.docker.io", "u"), "busybox", "u"},
		{"path", entry("ghcr.io", "all") + "," + entry("ghcr.io/acme", "acme"), "ghcr.io/acme/app", "acme"},
		{"path of another", entry("ghcr.io", "all") + "," + entry("ghcr.io/acme", "acme"), "ghcr.io/acmecorp/app", "all"},
		{"pattern", entry("*.azurecr.io", "u"), "acme.azurecr.io/app", "u"},
		{"pattern spans no dot", entry("*.azurecr.io", "u"), "a.b.azurecr.io/app", ""},
		{"exact before pattern", entry("*.azurecr.io", "p") + "," + entry("acme.azurecr.io", "e"), "acme.azurecr.io/app", "e"},
		{"plain fields", `"ghcr.io":{"username":"u","password":"p"}`, "ghcr.io/acme/app", "u"},
		{"unpadded", `"ghcr.io":{"auth":"dTpwYQ"}`, "ghcr.io/acme/app", "u"},
		{"empty entry", `"ghcr.io":{}`, "ghcr.io/acme/app", ""},
		{"bad entry of another registry", `"quay.io":{"auth":"?"},` + entry("ghcr.io", "u"), "ghcr.io/acme/app", "u"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := resolve(t, `{"auths":{`+tt.entries+`}}`, tt.repository); got != tt.want {
				t.Errorf("user = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestFileKeychainMissingFileIsAnonymous(t *testing.T) {
	for _, file := range []string{"", filepath.Join(t.TempDir(), "absent")} {
		auth, err := registry.FileKeychain(file).Resolve(name.MustParseReference("ghcr.io/acme/app").Context())
		if err != nil || auth != authn.Anonymous {
			t.Errorf("Resolve with file %q = %v, %v", file, auth, err)
		}
	}
}

func TestFileKeychainReadsAgain(t *testing.T) {
	file := writeFile(t, `{"auths":{`+entry("ghcr.io", "old")+`}}`)
	if got := resolveFile(t, file, "ghcr.io/acme/app"); got != "old" {
		t.Fatalf("user = %q, want old", got)
	}
	if err := os.WriteFile(file, []byte(`{"auths":{`+entry("ghcr.io", "new")+`}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := resolveFile(t, file, "ghcr.io/acme/app"); got != "new" {
		t.Errorf("user = %q, want new", got)
	}
}

func TestFileKeychainErrorsHideContent(t *testing.T) {
	for _, content := range []string{
		`{"auths":{"ghcr.io":{"auth":"hunter2hunter2!"}}}`,
		`{"auths":{"ghcr.io":{"auth":"aHVudGVyMg=="}}}`,
		`hunter2`,
		`{"auths":"hunter2"}`,
		`{"auths":{"ghcr.io":{"username":["hunter2"]}}}`,
	} {
		file := writeFile(t, content)
		_, err := registry.FileKeychain(file).Resolve(name.MustParseReference("ghcr.io/acme/app").Context())
		if err == nil {
			t.Errorf("%s: no error", content)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), file) {
			t.Errorf("error %q must name the file and not quote it", err)
		}
	}
}
