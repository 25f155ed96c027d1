package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// KeptError says that a registry keeps the image that a tag has. Whoever meets it looks
// the tag up.
type KeptError struct {
	// Reference has the tag, and Said is the registry's.
	Reference, Said string
}

// Error implements error.
func (e *KeptError) Error() string {
	return fmt.Sprintf("the registry keeps the image that has the tag %s: %s", e.Reference, oneLine(e.Said))
}

// Upload puts a blob into a repository that kiln pushes to. Open returns its content
// from the start; it is called again where the registry is to be asked once more.
func (c *Client) Upload(ctx context.Context, repository string, blob Blob, open func() (io.ReadCloser, error)) error {
	repo, err := name.NewRepository(repository)
	if err == nil {
		err = c.insistOn(ctx, func() error {
			address, err := c.begin(ctx, repo, nil)
			if err != nil {
				return err
			}
			return c.streaming(ctx, func() error {
				content, err := open()
				if err != nil {
					return err
				}
				return errors.Join(c.put(ctx, repo, address, blob, content), content.Close())
			})
		})
	}
	if err != nil {
		return fmt.Errorf("upload the blob %s to %s: %w", blob.Digest, repository, err)
	}
	return nil
}

// streaming does what streams a blob once there is room for that. Nothing is asked for
// before: an answer that nobody reads is broken off.
func (c *Client) streaming(ctx context.Context, do func() error) error {
	select {
	case c.streams <- struct{}{}:
		defer func() { <-c.streams }()
		return do()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// insistOn does something that may be done again, more than once where the registry
// cannot be reached.
func (c *Client) insistOn(ctx context.Context, do func() error) error {
	for _, pause := range c.pauses {
		err := do()
		if err == nil || ctx.Err() != nil || kindOf(err) != Unreachable || Untrusted(err) {
			return err
		}
		if waitErr := wait(ctx, pause); waitErr != nil {
			return err
		}
	}
	return do()
}

// Copy has a repository that kiln pushes to hold a layer of an image: one of the same
// repository is there, one of the same registry is mounted, and all others, and what
// the registry does not mount, are passed through as a stream, from the start again where
// it breaks off. What passes so is written to what watch returns as well, which is called
// for each time, unless it is nil; streamed says that it has. The content is the image's
// where the error is nil.
func (c *Client) Copy(ctx context.Context, repository string, of *Original, layer Blob, watch func() io.Writer) (streamed bool, err error) {
	repo, err := name.NewRepository(repository)
	if err != nil {
		return false, fmt.Errorf("copy a layer to %s: %w", repository, err)
	}
	if of.ours && of.repo.Name() == repo.Name() {
		return false, nil
	}
	address, err := c.mount(ctx, repo, of, layer)
	if err != nil || address == nil {
		return false, wrapCopy(layer, repository, err)
	}
	err = c.insistOn(ctx, func() error {
		at := address
		if address = nil; at == nil { // an upload that failed is not gone on with
			var err error
			if at, err = c.begin(ctx, repo, nil); err != nil {
				return err
			}
		}
		return c.streaming(ctx, func() error {
			return c.pass(ctx, repo, at, passing{of: of, layer: layer, watch: watch})
		})
	})
	return err == nil, wrapCopy(layer, repository, err)
}

// passing is a layer on its way.
type passing struct {
	of    *Original
	layer Blob
	watch func() io.Writer
}

// pass sends a layer to the address of an upload. Where it cannot be read, that is the
// error, whatever the registry says of what it got.
func (c *Client) pass(ctx context.Context, repo name.Repository, address *url.URL, what passing) error {
	content, err := c.Open(ctx, what.of, what.layer)
	if err != nil {
		return err
	}
	source := &reading{from: content}
	var body io.Reader = source
	if what.watch != nil {
		body = io.TeeReader(source, what.watch())
	}
	err = c.put(ctx, repo, address, what.layer, body)
	if failed := source.failure(); failed != nil {
		err = failed
	}
	return errors.Join(err, content.Close())
}

// reading remembers the error of what it reads from. It is safe for concurrent use: a
// request may be over before its body is let go of.
type reading struct {
	from io.Reader
	mu   sync.Mutex
	err  error
}

// Read implements [io.Reader].
func (r *reading) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.err == nil {
			r.err = err
		}
	}
	return n, err
}

// failure is the first error.
func (r *reading) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

func wrapCopy(layer Blob, repository string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("copy the layer %s to %s: %w", layer.Digest, repository, err)
}

// mount returns the address of an upload, nil where none is needed: the repository has
// the blob, or the registry took it over from another of its repositories.
func (c *Client) mount(ctx context.Context, repo name.Repository, of *Original, blob Blob) (*url.URL, error) {
	var opened *url.URL
	from := of.repo
	if mirror, mirrored := c.mirrors.Repository(of.repo); mirrored && !of.ours {
		from = mirror
	}
	if from.RegistryStr() == repo.RegistryStr() {
		address, err := c.begin(ctx, repo, url.Values{"mount": {blob.Digest}, "from": {from.RepositoryStr()}}, from.Scope(transport.PullScope))
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err == nil && address == nil {
			return nil, nil
		} // registries differ in how they say no to a mount
		opened = address
	}
	there, err := c.holds(ctx, repo, blob.Digest)
	if err != nil || there {
		c.cancel(ctx, repo, opened)
		return nil, err
	}
	if opened != nil {
		return opened, nil
	}
	return c.begin(ctx, repo, nil)
}

// cancel ends an upload that nothing is sent to, unless it is nil. Not every registry lets
// one be ended; it forgets it by itself then.
func (c *Client) cancel(ctx context.Context, repo name.Repository, address *url.URL) {
	if address == nil {
		return
	}
	response, err := c.write(ctx, withScheme(repo, c.insecure), written{method: http.MethodDelete, address: address})
	if err == nil {
		_ = response.Body.Close()
	}
}

// holds reports whether a repository has a blob.
func (c *Client) holds(ctx context.Context, repo name.Repository, digest string) (bool, error) {
	return insist(ctx, c, repo, func(ctx context.Context, repo name.Repository) (bool, error) {
		response, err := c.send(ctx, c.push, http.MethodHead, document{repo: repo, kind: "blobs", id: digest})
		if err != nil {
			return false, err
		}
		defer response.Body.Close()
		if response.StatusCode == http.StatusNotFound {
			return false, nil
		}
		return true, transport.CheckError(response, http.StatusOK)
	})
}

// begin opens an upload. It returns nil where a mount that query asks for made that
// needless.
func (c *Client) begin(ctx context.Context, repo name.Repository, query url.Values, scopes ...string) (*url.URL, error) {
	return insist(ctx, c, repo, func(ctx context.Context, repo name.Repository) (*url.URL, error) {
		response, err := c.write(ctx, repo, written{method: http.MethodPost, path: "blobs/uploads/", query: query, scopes: scopes})
		if err != nil {
			return nil, err
		}
		defer response.Body.Close()
		if response.StatusCode == http.StatusCreated && query != nil {
			return nil, nil
		}
		if err := transport.CheckError(response, http.StatusAccepted); err != nil {
			return nil, err
		}
		address, err := response.Location()
		if err != nil {
			return nil, fmt.Errorf("%w: an upload without an address", errMalformed)
		}
		return address, nil
	})
}

// put sends the content of a blob to the address of an upload.
func (c *Client) put(ctx context.Context, repo name.Repository, address *url.URL, blob Blob, content io.Reader) error {
	end := *address
	query := end.Query()
	query.Set("digest", blob.Digest)
	end.RawQuery = query.Encode()
	response, err := c.write(ctx, withScheme(repo, c.insecure), written{
		method: http.MethodPut, address: &end, body: content, length: blob.Size, kind: "application/octet-stream",
	})
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return transport.CheckError(response, http.StatusCreated, http.StatusNoContent)
}

// PutManifest puts a manifest of that media type under a reference with a tag that kiln
// pushes to. The error is of type [*KeptError] where the tag exists and must not change.
func (c *Client) PutManifest(ctx context.Context, reference, mediaType string, manifest []byte) error {
	tag, err := name.NewTag(reference)
	if err != nil {
		return fmt.Errorf("push %s: %w", reference, err)
	}
	_, err = insist(ctx, c, tag.Repository, func(ctx context.Context, repo name.Repository) (struct{}, error) {
		response, err := c.write(ctx, repo, written{
			method: http.MethodPut, path: "manifests/" + tag.TagStr(), body: bytes.NewReader(manifest), length: int64(len(manifest)), kind: mediaType,
		})
		if err != nil {
			return struct{}{}, err
		}
		defer response.Body.Close()
		return struct{}{}, accepts(response, reference)
	})
	if err != nil {
		return fmt.Errorf("push %s: %w", reference, err)
	}
	return nil
}

// accepts is the error of a registry that does not take a manifest.
func accepts(response *http.Response, reference string) error {
	if response.StatusCode >= 200 && response.StatusCode <= 299 {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, MaxRefusal))
	if err != nil {
		body = nil // the status says enough
	}
	if said := Keeps(response.StatusCode, body); said != "" {
		return &KeptError{Reference: reference, Said: said}
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return transport.CheckError(response)
}

// written is a request that changes a repository.
type written struct {
	method string
	// path is below the repository, unless there is a whole address.
	path    string
	address *url.URL
	query   url.Values
	// scopes are those besides the one for pushing.
	scopes []string
	body   io.Reader
	length int64
	kind   string // of the body
}

// write sends a request with the credentials for pushing. Redirects are not followed: a
// body cannot be sent twice.
func (c *Client) write(ctx context.Context, repo name.Repository, what written) (*http.Response, error) {
	carrier, err := c.sessions.push(ctx, c.push, repo, what.scopes...)
	if err != nil {
		return nil, err
	}
	address := what.address
	if address == nil {
		address = &url.URL{
			Scheme: repo.Scheme(), Host: repo.RegistryStr(), Path: "/v2/" + repo.RepositoryStr() + "/" + what.path, RawQuery: what.query.Encode(),
		}
	}
	body := io.Reader(http.NoBody)
	if what.body != nil && what.length > 0 {
		body = io.NopCloser(what.body)
	}
	request, err := http.NewRequestWithContext(ctx, what.method, address.String(), body)
	if err != nil {
		return nil, err
	}
	request.ContentLength = what.length
	if what.kind != "" {
		request.Header.Set("Content-Type", what.kind)
	}
	return carrier.RoundTrip(request)
}
