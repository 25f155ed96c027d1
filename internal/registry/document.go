package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	// maxDocument bounds manifests and configs. Registries need not take larger
	// manifests (https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-manifests).
	maxDocument = 4 << 20
	// maxCommas bounds what a document can grow to when it is decoded: no JSON
	// value has more elements than commas, and one.
	maxCommas = 50_000
)

var digestPattern = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

func isDigest(text string) bool { return digestPattern.MatchString(text) }

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// document is one that a registry holds: a manifest by tag or digest, or the
// config of an image.
type document struct {
	repo name.Repository
	kind string // manifests or blobs
	id   string
}

// accepted are the manifests that kiln understands.
func accepted() string {
	kinds := []types.MediaType{types.OCIImageIndex, types.DockerManifestList, types.OCIManifestSchema1, types.DockerManifestSchema2}
	var texts []string
	for _, kind := range kinds {
		texts = append(texts, string(kind))
	}
	return strings.Join(texts, ", ")
}

// send asks for a document. The caller closes the answer's body.
func (c *Client) send(ctx context.Context, keychain authn.Keychain, method string, d document) (*http.Response, error) {
	carrier, err := c.sessions.pull(ctx, keychain, d.repo)
	if err != nil {
		return nil, err
	}
	address := url.URL{Scheme: d.repo.Scheme(), Host: d.repo.RegistryStr(), Path: "/v2/" + d.repo.RepositoryStr() + "/" + d.kind + "/" + d.id}
	request, err := http.NewRequestWithContext(ctx, method, address.String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", accepted())
	return Follow(carrier, request)
}

// read returns the content of a document. If it is named by a digest, the
// content has that digest.
func (c *Client) read(ctx context.Context, keychain authn.Keychain, d document) ([]byte, error) {
	response, err := c.send(ctx, keychain, http.MethodGet, d)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if err := transport.CheckError(response, http.StatusOK); err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(response.Body, maxDocument+1))
	switch {
	case err != nil:
		return nil, err
	case len(content) > maxDocument:
		return nil, fmt.Errorf("%w: %s %s is larger than %d bytes", errMalformed, d.kind, d.id, maxDocument)
	case isDigest(d.id) && digestOf(content) != d.id:
		return nil, fmt.Errorf("%w: the content of %s %s has another digest", errMalformed, d.kind, d.id)
	}
	return content, nil
}

// decode reads a JSON document of a foreign hand.
func decode(content []byte, into any) error {
	if bytes.Count(content, []byte(",")) > maxCommas {
		return fmt.Errorf("%w: a document has more than %d elements", errMalformed, maxCommas)
	}
	if err := json.Unmarshal(content, into); err != nil {
		return fmt.Errorf("%w: %w", errMalformed, err)
	}
	return nil
}
