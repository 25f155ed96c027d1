package gate

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// pull answers a read of a listed image: from the first of its mirrors that has
// it, else from the registry that the Dockerfile names.
func (g *Gate) pull(w http.ResponseWriter, r *http.Request, op operation) {
	origin := op.repo.origin()
	var missed strings.Builder
	for _, mirror := range op.repo.sources[:len(op.repo.sources)-1] {
		response, err := g.readContent(r, mirror, op)
		if err == nil && response.StatusCode < http.StatusMultipleChoices {
			relay(w, response)
			return
		}
		if err == nil {
			discard(response)
			err = fmt.Errorf("it answers %s", response.Status)
		}
		fmt.Fprintf(&missed, " (and its mirror %s: %s)", mirror.RegistryStr(), err)
	}
	response, err := g.readOrigin(r, op)
	if err != nil {
		// Clients try again after a 502 and lose its text; the gate has tried
		// again already, and the text is what the build's author needs.
		g.failUpstream(w, http.StatusFailedDependency, origin.RegistryStr(), fmt.Errorf("%w%s", err, missed.String()))
		return
	}
	relay(w, response)
}

// readOrigin reads from the registry that the Dockerfile names, again after a
// while if it cannot be reached.
func (g *Gate) readOrigin(r *http.Request, op operation) (*http.Response, error) {
	for _, delay := range g.retries {
		response, err := g.readContent(r, op.repo.origin(), op)
		if err == nil || !temporary(err) {
			return response, err
		}
		select {
		case <-time.After(delay):
		case <-r.Context().Done():
			return nil, err
		}
	}
	return g.readContent(r, op.repo.origin(), op)
}

func (g *Gate) readContent(r *http.Request, source name.Repository, op operation) (*http.Response, error) {
	path := manifestPath(source.RepositoryStr(), op.ref)
	if op.kind == "blobs" {
		path = blobPath(source.RepositoryStr(), op.ref)
	}
	return g.upstream.read(r, source, path, transport.PullScope)
}

// findBlob tells the client whether the push repository has a blob, so that it
// is not uploaded again.
func (g *Gate) findBlob(w http.ResponseWriter, r *http.Request, op operation) {
	repo := g.policy.push.origin()
	response, err := g.upstream.read(r, repo, blobPath(repo.RepositoryStr(), op.ref), transport.PushScope)
	if err != nil {
		g.failUpstream(w, http.StatusBadGateway, repo.RegistryStr(), err)
		return
	}
	relay(w, response)
}
