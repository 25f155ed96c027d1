package gate

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
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
			g.relayPull(w, r, op, response)
			return
		}
		if err == nil {
			discard(response)
			err = fmt.Errorf("it answers %s", response.Status)
		}
		fmt.Fprintf(&missed, " (and its mirror %s: %s)", mirror.RegistryStr(), err)
	}
	response, err := g.upstream.retries.do(r.Context(), func() (*http.Response, error) { return g.readContent(r, origin, op) })
	if err == nil && response.StatusCode >= http.StatusInternalServerError {
		discard(response)
		err = fmt.Errorf("it answers %s", response.Status)
	}
	if err != nil {
		// Clients try again after a 502 and lose its text; the gate has tried
		// again already, and the text is what the build's author needs.
		g.failUpstream(w, http.StatusFailedDependency, origin.RegistryStr(), fmt.Errorf("%w%s", err, missed.String()))
		return
	}
	g.relayPull(w, r, op, response)
}

// relayPull passes on what was pulled, and looks through a layer that is to be inspected,
// or whose index is wanted and for which there is room.
func (g *Gate) relayPull(w http.ResponseWriter, r *http.Request, op operation, response *http.Response) {
	if op.kind != "blobs" || r.Method != http.MethodGet || response.StatusCode != http.StatusOK {
		relay(w, response)
		return
	}
	index, inspector := g.indexes.pull(op.ref), op.repo.inspector
	switch {
	case inspector == nil && index == nil:
		relay(w, response)
	case g.admit(r.Context(), inspector):
		defer func() { <-g.inspecting }()
		g.relayInspected(w, r, op, response, index)
	case inspector == nil:
		index.end(r.Context(), false)
		relay(w, response)
	default: // nobody waits for the answer any more
		index.end(r.Context(), false)
		_ = response.Body.Close()
		panic(http.ErrAbortHandler)
	}
}

// admit reports whether there is room for a layer that is looked through, and takes it. An
// inspector waits for room while the client does. A mere index does not: pulls that are
// not read would hold up all others.
func (g *Gate) admit(ctx context.Context, inspector *inspector) bool {
	if inspector == nil {
		select {
		case g.inspecting <- struct{}{}:
			return true
		default:
			return false
		}
	}
	select {
	case g.inspecting <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// relayInspected passes a layer on and looks through it. One that the executor would unpack
// otherwise than Docker ends the build: it is cut off, reported, and nothing can be pushed
// any more.
func (g *Gate) relayInspected(w http.ResponseWriter, r *http.Request, op operation, response *http.Response, index *pulled) {
	inspector := op.repo.inspector
	if inspector == nil {
		inspector = newInspector(Inspection{}) // for which nothing is unfit
	}
	body := response.Body
	read, ended := inspector.inspect(op.ref, index.reader(body), index)
	response.Body = struct {
		io.Reader
		io.Closer
	}{read, body}
	whole := false
	defer func() {
		found := ended()
		index.end(r.Context(), whole && found == "")
		if found == "" {
			return
		}
		g.slot.close()
		g.report.line("unfit " + inspector.Image + " " + found)
		panic(http.ErrAbortHandler)
	}()
	relay(w, response)
	whole = true
}

func (g *Gate) readContent(r *http.Request, source name.Repository, op operation) (*http.Response, error) {
	path := manifestPath(source.RepositoryStr(), op.ref)
	if op.kind == "blobs" {
		path = blobPath(source.RepositoryStr(), op.ref)
	}
	ctx, cancel := r.Context(), func() {}
	if op.kind == "manifests" {
		ctx, cancel = context.WithTimeoutCause(ctx, g.manifestTime, errSlow)
	}
	response, err := g.upstream.read(ctx, readRequest{
		as: g.policy.puller, repo: source, path: path, scope: transport.PullScope, method: r.Method, header: r.Header,
	})
	if err != nil {
		cancel()
		return nil, err
	}
	response.Body = &cancelledBody{response.Body, cancel}
	if op.action != pullPinned || response.StatusCode != http.StatusOK {
		return response, err
	}
	response.Header.Set("Docker-Content-Digest", op.ref)
	if r.Method == http.MethodHead {
		return response, nil
	}
	return verified(response, op.ref)
}

// errSlow is why a manifest is not waited for any longer.
var errSlow = errors.New("the registry takes too long to send a manifest")

// cancelledBody ends the time limit of an answer when that is closed.
type cancelledBody struct {
	io.ReadCloser
	cancel func()
}

// Close implements [io.Closer].
func (b *cancelledBody) Close() error {
	err := b.ReadCloser.Close()
	b.cancel()
	return err
}

// verified returns the manifest in response with its body read, if it has the
// digest. A client that asked by digest checks that itself; one that asked by a
// pinned tag cannot.
func verified(response *http.Response, digest string) (*http.Response, error) {
	defer response.Body.Close()
	want, err := v1.NewHash(digest)
	if err != nil {
		return nil, err
	}
	hasher, err := v1.Hasher(want.Algorithm)
	if err != nil {
		return nil, fmt.Errorf("digest %s: %w", digest, err)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxManifest+1))
	if err != nil {
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	_, _ = hasher.Write(body)
	if len(body) > maxManifest || hex.EncodeToString(hasher.Sum(nil)) != want.Hex {
		return nil, &contentError{digest}
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	response.ContentLength = int64(len(body))
	response.Header.Set("Content-Length", strconv.Itoa(len(body)))
	return response, nil
}

// contentError is the error of a registry that answers with other content than
// it was asked for.
type contentError struct{ digest string }

// Error says what the content is not.
func (e *contentError) Error() string {
	return fmt.Sprintf("it answers with other content than that of %s, or with more than %d bytes", e.digest, maxManifest)
}

// findBlob tells the client whether the push repository has a blob, so that it
// is not uploaded again.
func (g *Gate) findBlob(w http.ResponseWriter, r *http.Request, op operation) {
	repo := g.policy.push.origin()
	response, err := g.upstream.retries.do(r.Context(), func() (*http.Response, error) {
		return g.upstream.read(r.Context(), readRequest{
			as: g.policy.pusher, repo: repo, path: blobPath(repo.RepositoryStr(), op.ref), scope: transport.PushScope, method: r.Method, header: r.Header,
		})
	})
	if err != nil {
		g.failUpstream(w, http.StatusBadGateway, repo.RegistryStr(), err)
		return
	}
	relay(w, response)
}
