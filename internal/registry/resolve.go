package registry

import (
	"context"
	"net/http"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Resolve returns the digest ("sha256:" and 64 hexadecimal digits) that a
// reference, as a Dockerfile names it, stands for now: that of an index if it
// is one. It takes one HEAD request besides logging in, and a GET where the
// registry's HEAD gives no digest. The answer is remembered for
// [ClientConfig.Remember], and callers that ask at the same time share it. A
// reference with a digest stands for it, without a request.
//
// Errors are of type [*LookupError]; they are not remembered.
func (c *Client) Resolve(ctx context.Context, reference string) (string, error) {
	ref, err := name.ParseReference(reference)
	if err != nil {
		return "", &LookupError{Reference: reference, Kind: Malformed, Err: err}
	}
	if pinned, ok := ref.(name.Digest); ok {
		return pinned.DigestStr(), nil
	}
	digest, err := c.digests.get(ctx, ref.Name(), func(ctx context.Context) (string, error) {
		return fetch(ctx, c, ref.Context(), func(ctx context.Context, repo name.Repository) (string, error) {
			return c.digest(ctx, repo, ref.Identifier())
		})
	})
	if err != nil {
		return "", &LookupError{Reference: reference, Kind: kindOf(err), Err: err}
	}
	return digest, nil
}

// digest asks one registry for the digest of a tag.
func (c *Client) digest(ctx context.Context, repo name.Repository, tag string) (string, error) {
	d := document{repo: repo, kind: "manifests", id: tag}
	response, err := c.send(ctx, c.pull, http.MethodHead, d)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusMethodNotAllowed {
		if err := transport.CheckError(response, http.StatusOK); err != nil {
			return "", err
		}
	}
	if digest := response.Header.Get("Docker-Content-Digest"); isDigest(digest) && response.StatusCode == http.StatusOK {
		return digest, nil
	}
	content, err := c.read(ctx, c.pull, d)
	if err != nil {
		return "", err
	}
	return digestOf(content), nil
}
