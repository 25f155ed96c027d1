package gate

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"sync"

	"kiln/internal/registry"
)

// maxManifest is the size that registries accept at most, in bytes:
// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-manifests.
const maxManifest = 4 << 20

// Media types of image manifests; those of indexes are missing on purpose.
const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	ociManifest    = "application/vnd.oci.image.manifest.v1+json"
)

// slot remembers the one manifest of the build. Its lock is held while a
// manifest is read and forwarded, so there is never more than one in memory.
type slot struct {
	mu     sync.Mutex
	digest string
	pushed bool
	// closed says that no manifest is let through any more.
	closed bool
}

// close lets no manifest through any more.
func (s *slot) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

// putManifest forwards the build's manifest. Once one was forwarded, only the
// same bytes are: the client may not have seen the registry's answer.
func (g *Gate) putManifest(w http.ResponseWriter, r *http.Request, op operation) {
	g.slot.mu.Lock()
	defer g.slot.mu.Unlock()
	mediaType, body, reason := readManifest(w, r)
	if reason != "" {
		g.deny(w, r, reason)
		return
	}
	if image, what := g.policy.lacking(); what != "" && !g.slot.closed {
		g.slot.closed = true
		g.report.line("unfit " + image + " " + what)
	}
	if g.slot.closed {
		g.deny(w, r, "a base image of this build is unfit")
		return
	}
	sum := sha256.Sum256(body)
	digest := "sha256:" + hex.EncodeToString(sum[:])
	if g.slot.digest != "" && g.slot.digest != digest {
		g.deny(w, r, "a build pushes one manifest only")
		return
	}
	g.slot.digest = digest
	response, err := g.forwardManifest(r, op.ref, mediaType, body)
	if err != nil {
		g.failUpstream(w, http.StatusBadGateway, g.policy.push.origin().RegistryStr(), err)
		return
	}
	if response.StatusCode < 200 || response.StatusCode > 299 {
		g.refuseManifest(w, response)
		return
	}
	discard(response)
	if g.indexes == nil {
		g.reportPushed(digest)
	}
	w.Header().Set("Location", manifestPath(g.policy.push.path, digest))
	w.Header().Set("Docker-Content-Digest", digest)
	w.WriteHeader(http.StatusCreated)
	if g.indexes != nil { // the client ends meanwhile
		_ = http.NewResponseController(w).Flush() // it reads the answer anyway
		g.indexes.settle()
		g.reportPushed(digest)
	}
}

// reportPushed reports once that the registry has the manifest.
func (g *Gate) reportPushed(digest string) {
	if !g.slot.pushed {
		g.slot.pushed = true
		g.report.line("pushed " + digest)
	}
}

// refuseManifest passes on that the registry did not take the manifest, and
// reports where that is because the tag exists and must not change.
func (g *Gate) refuseManifest(w http.ResponseWriter, response *http.Response) {
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, registry.MaxRefusal))
	if err != nil {
		body = nil // the status says enough
	}
	if reason := registry.Keeps(response.StatusCode, body); reason != "" {
		g.report.line("kept " + reason)
	}
	response.Header.Set("Content-Length", strconv.Itoa(len(body)))
	response.Body = io.NopCloser(bytes.NewReader(body))
	relay(w, response)
}

func (g *Gate) forwardManifest(r *http.Request, tag, mediaType string, body []byte) (*http.Response, error) {
	repo := g.policy.push.origin()
	target := address(repo, manifestPath(repo.RepositoryStr(), tag))
	return g.upstream.retries.do(r.Context(), func() (*http.Response, error) {
		request, err := http.NewRequestWithContext(r.Context(), http.MethodPut, target, bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		request.Header.Set("Content-Type", mediaType)
		return g.upstream.write(request, g.policy.pusher, repo)
	})
}

// readManifest returns the manifest that a request carries and the media type
// to send it with, or the rule that it breaks.
func readManifest(w http.ResponseWriter, r *http.Request) (mediaType string, body []byte, reason string) {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != dockerManifest && mediaType != ociManifest {
		return "", nil, "only an image manifest may be pushed"
	}
	if r.ContentLength > maxManifest {
		return "", nil, fmt.Sprintf("the manifest is larger than %d bytes", maxManifest)
	}
	body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxManifest))
	if err != nil {
		return "", nil, fmt.Sprintf("the manifest cannot be read or is larger than %d bytes", maxManifest)
	}
	if reason := checkManifest(body, mediaType); reason != "" {
		return "", nil, reason
	}
	return mediaType, body, ""
}
