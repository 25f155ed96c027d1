package gate

import (
	"fmt"
	"net/http"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// pull answers a read of a listed image: from the first of its mirrors that has
// it, else from the registry that the Dockerfile names.
func (g *Gate) pull(w http.ResponseWriter, r *http.Request, op operation) {
	origin := op.repo.origin()
	missed := ""
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
		missed += fmt.Sprintf(" (and its mirror %s: %s)", mirror.RegistryStr(), err)
	}
	response, err := g.readContent(r, origin, op)
	if err != nil {
		g.failUpstream(w, origin.RegistryStr(), fmt.Errorf("%w%s", err, missed))
		return
	}
	relay(w, response)
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
		g.failUpstream(w, repo.RegistryStr(), err)
		return
	}
	relay(w, response)
}
