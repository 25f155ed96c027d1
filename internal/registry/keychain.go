package registry

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// maxCredentialsSize bounds the credentials file. Kubernetes Secrets end at
// 1 MiB: https://kubernetes.io/docs/concepts/configuration/secret/.
const maxCredentialsSize = 1 << 20

// fileKeychain is the path of a file of type kubernetes.io/dockerconfigjson.
type fileKeychain string

// FileKeychain returns the credentials in the file at path, which has the form
// of a Secret of type kubernetes.io/dockerconfigjson. The file is read again at
// every Resolve, because the kubelet replaces it when the Secret changes and
// some registries issue passwords that last for hours. An empty path or a
// missing file means that every registry is used anonymously.
//
// Keys of the file are matched as Kubernetes does
// (https://kubernetes.io/docs/concepts/containers/images/#config-json): with or
// without a scheme, optionally with a port, a path prefix, or "*" within one
// label of the host; the longest path wins. Credential helpers are not run.
//
// Errors name the file and never quote its content. The keychain is safe for
// concurrent use.
func FileKeychain(path string) authn.Keychain {
	return fileKeychain(path)
}

// Resolve implements [authn.Keychain].
func (k fileKeychain) Resolve(target authn.Resource) (authn.Authenticator, error) {
	entries, err := k.read()
	if err != nil {
		return nil, err
	}
	return resolve(string(k), entries, target)
}

// contentKeychain is the content of such a file, and what errors call it.
type contentKeychain struct {
	name    string
	content []byte
}

// ContentKeychain is [FileKeychain] for a content that was read already, such as
// that of a Secret. Errors call it name.
func ContentKeychain(name string, content []byte) authn.Keychain {
	return contentKeychain{name, content}
}

// Resolve implements [authn.Keychain].
func (k contentKeychain) Resolve(target authn.Resource) (authn.Authenticator, error) {
	entries, err := parseCredentials(k.name, k.content)
	if err != nil {
		return nil, err
	}
	return resolve(k.name, entries, target)
}

// resolve returns the credentials among entries that fit target.
func resolve(name string, entries map[string]credential, target authn.Resource) (authn.Authenticator, error) {
	entry, found := bestMatch(entries, target)
	if !found {
		return authn.Anonymous, nil
	}
	config, err := entry.config()
	if err != nil {
		return nil, fmt.Errorf("read registry credentials %s: the entry for %s: %w", name, target.RegistryStr(), err)
	}
	if config == (authn.AuthConfig{}) {
		return authn.Anonymous, nil
	}
	return authn.FromConfig(config), nil
}

// credential is one entry of the file. It is decoded by hand: the error texts
// of the library's own type could carry pieces of the content.
type credential struct {
	Username      string `json:"username"`
	Password      string `json:"password"`
	Auth          string `json:"auth"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

func (k fileKeychain) read() (map[string]credential, error) {
	if k == "" {
		return nil, nil
	}
	file, err := os.Open(string(k))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read registry credentials: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxCredentialsSize+1))
	if err != nil {
		return nil, fmt.Errorf("read registry credentials: %w", err)
	}
	return parseCredentials(string(k), data)
}

// parseCredentials reads the content of a file that errors call name.
func parseCredentials(name string, data []byte) (map[string]credential, error) {
	var content struct {
		Auths map[string]credential `json:"auths"`
	}
	if len(data) > maxCredentialsSize || json.Unmarshal(data, &content) != nil {
		return nil, fmt.Errorf("read registry credentials %s: the file is not a docker config.json of at most 1 MiB", name)
	}
	return content.Auths, nil
}

func (c credential) config() (authn.AuthConfig, error) {
	config := authn.AuthConfig{
		Username:      c.Username,
		Password:      c.Password,
		IdentityToken: c.IdentityToken,
		RegistryToken: c.RegistryToken,
	}
	if c.Auth == "" {
		return config, nil
	}
	decoded, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.TrimSpace(c.Auth), "="))
	user, password, found := strings.Cut(string(decoded), ":")
	if err != nil || !found {
		return authn.AuthConfig{}, errors.New(`"auth" is not base64 of "user:password"`)
	}
	// Some tools end the password with NUL bytes, which Docker strips.
	config.Username, config.Password = user, strings.TrimRight(password, "\x00")
	return config, nil
}

// bestMatch returns the entry whose key fits target most closely: the longest
// path first, an exact host before a pattern, then the smaller key, so that the
// choice does not depend on map order.
func bestMatch(entries map[string]credential, target authn.Resource) (credential, bool) {
	repository := strings.TrimPrefix(strings.TrimPrefix(target.String(), target.RegistryStr()), "/")
	var bestKey string
	bestRank := -1
	for key := range entries {
		rank := matchRank(key, strings.TrimSuffix(strings.ToLower(target.RegistryStr()), ":443"), repository)
		if rank > bestRank || rank == bestRank && rank >= 0 && key < bestKey {
			bestKey, bestRank = key, rank
		}
	}
	return entries[bestKey], bestRank >= 0
}

// matchRank says how closely key fits; a negative rank is no match.
func matchRank(key, registry, repository string) int {
	host, prefix := splitKey(key)
	exact := host == registry
	if !exact && !matchGlob(host, registry) {
		return -1
	}
	if prefix != "" && repository != prefix && !strings.HasPrefix(repository, prefix+"/") {
		return -1
	}
	rank := 2 * len(prefix)
	if exact {
		rank++
	}
	return rank
}

// splitKey separates a key into the registry it means and a path prefix. The
// API version that old Docker clients wrote into keys is no prefix.
func splitKey(key string) (host, prefix string) {
	key = strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
	host, prefix, _ = strings.Cut(strings.TrimSuffix(key, "/"), "/")
	if prefix == "v1" || prefix == "v2" {
		prefix = ""
	}
	host = strings.TrimSuffix(strings.ToLower(host), ":443")
	if host == "docker.io" || host == "registry-1.docker.io" {
		host = name.DefaultRegistry
	}
	return host, prefix
}

// matchGlob reports whether a pattern such as "*.azurecr.io" fits a registry,
// label by label, so that "*" never spans a dot.
func matchGlob(pattern, registry string) bool {
	if !strings.Contains(pattern, "*") {
		return false
	}
	patterns, labels := strings.Split(pattern, "."), strings.Split(registry, ".")
	if len(patterns) != len(labels) {
		return false
	}
	for i := range patterns {
		if matched, err := path.Match(patterns[i], labels[i]); err != nil || !matched {
			return false
		}
	}
	return true
}
