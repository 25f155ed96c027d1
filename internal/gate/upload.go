package gate

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// maxUploads bounds how many uploads are open at once.
const maxUploads = 1000

// uploads maps the numbers that the client sees to the addresses that the
// registry gave. Addresses carry state and signatures; the client neither sees
// nor makes them. It is safe for concurrent use.
type uploads struct {
	mu     sync.Mutex
	last   int
	opened map[string]opened
}

// opened is an upload.
type opened struct {
	address *url.URL
	// passed is what has passed of it, nil where that does not matter.
	passed *passed
}

// open returns the number for a new upload, or "" if too many are open.
func (u *uploads) open(upload opened) string {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.opened) >= maxUploads {
		return ""
	}
	u.last++
	number := strconv.Itoa(u.last)
	u.opened[number] = upload
	return number
}

func (u *uploads) find(number string) (opened, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	upload, found := u.opened[number]
	return upload, found
}

func (u *uploads) move(number string, address *url.URL) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if upload, found := u.opened[number]; found {
		upload.address = address
		u.opened[number] = upload
	}
}

func (u *uploads) close(number string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.opened, number)
}

// abandon ends what has passed of all of them.
func (u *uploads) abandon() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, upload := range u.opened {
		upload.passed.abandon()
	}
}

// startUpload opens an upload, or mounts a blob of a listed image that is on
// the same registry. A mount that the registry refuses becomes an upload: it is
// an optimization, and registries differ in how they say no.
func (g *Gate) startUpload(w http.ResponseWriter, r *http.Request, op operation) {
	repo := g.policy.push.origin()
	digest := op.query.Get("mount")
	// A layer that the client would mount is the base's: kilnd looks into those.
	own := digest == ""
	if from, found := g.mountSource(op.query.Get("from")); found && digestForm.MatchString(digest) && g.mayRead(r, from, digest) {
		query := url.Values{"mount": {digest}, "from": {from.RepositoryStr()}}
		response, err := g.postUpload(r, query, from.Scope(transport.PullScope))
		switch {
		case err != nil:
			g.report.note("mount a blob of %s: %s", from, err)
		case response.StatusCode == http.StatusCreated:
			discard(response)
			g.blobCreated(w, digest)
			return
		case response.StatusCode == http.StatusAccepted:
			g.uploadOpened(w, response, own)
			return
		default:
			discard(response)
		}
	}
	response, err := g.postUpload(r, nil)
	switch {
	case err != nil:
		g.failUpstream(w, http.StatusBadGateway, repo.RegistryStr(), err)
	case response.StatusCode == http.StatusAccepted:
		g.uploadOpened(w, response, own)
	default:
		relay(w, response)
	}
}

// mountSource returns where the push registry holds the repository that the
// client wants to mount from, if the Dockerfile names it.
func (g *Gate) mountSource(path string) (name.Repository, bool) {
	listed, found := g.policy.pulls[path]
	if !found {
		return name.Repository{}, false
	}
	for _, source := range listed.sources {
		if source.RegistryStr() == g.policy.push.origin().RegistryStr() {
			return source, true
		}
	}
	return name.Repository{}, false
}

// mayRead reports whether a mount, for which the registry asks the pusher's
// rights, gives the build nothing that it could not pull.
func (g *Gate) mayRead(r *http.Request, repo name.Repository, digest string) bool {
	if !g.policy.separate {
		return true
	}
	response, err := g.upstream.read(r.Context(), readRequest{
		as: g.policy.puller, repo: repo, path: blobPath(repo.RepositoryStr(), digest), scope: transport.PullScope, method: http.MethodHead,
	})
	if err != nil {
		g.report.note("look for a blob of %s: %s", repo, err)
		return false
	}
	discard(response)
	return response.StatusCode == http.StatusOK
}

func (g *Gate) postUpload(r *http.Request, query url.Values, scopes ...string) (*http.Response, error) {
	repo := g.policy.push.origin()
	target := address(repo, uploadsPath(repo.RepositoryStr(), ""))
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	return g.upstream.retries.do(r.Context(), func() (*http.Response, error) {
		request, err := http.NewRequestWithContext(r.Context(), http.MethodPost, target, http.NoBody)
		if err != nil {
			return nil, err
		}
		return g.upstream.write(request, g.policy.pusher, repo, scopes...)
	})
}

// uploadOpened gives the client a number for the upload that the registry
// opened; own says that it is of what the build has made.
func (g *Gate) uploadOpened(w http.ResponseWriter, response *http.Response, own bool) {
	location, err := response.Location()
	if err != nil {
		discard(response)
		fail(w, http.StatusBadGateway, codeUnavailable, "the registry opened an upload without an address")
		return
	}
	upload := opened{address: location}
	if own {
		upload.passed = g.indexes.begin()
	}
	number := g.uploads.open(upload)
	if number == "" {
		upload.passed.abandon()
		discard(response)
		fail(w, http.StatusTooManyRequests, codeDenied, "too many uploads are open")
		return
	}
	w.Header().Set("Location", uploadsPath(g.policy.push.path, number))
	relay(w, response)
}

// continueUpload passes on a piece of a blob, its end, or a question about how
// far it got.
func (g *Gate) continueUpload(w http.ResponseWriter, r *http.Request, op operation) {
	upload, found := g.uploads.find(op.upload)
	if !found {
		fail(w, http.StatusNotFound, codeUploadUnknown, "no such upload")
		return
	}
	repo := g.policy.push.origin()
	digest := op.query.Get("digest")
	request, err := uploadRequest(r, upload, digest)
	if err != nil {
		g.failUpstream(w, http.StatusBadGateway, repo.RegistryStr(), err)
		return
	}
	response, err := g.upstream.write(request, g.policy.pusher, repo)
	if r.Method != http.MethodGet && (err != nil || response.StatusCode < 200 || response.StatusCode > 299) {
		upload.passed.abandon()
	}
	if err != nil {
		g.failUpstream(w, http.StatusServiceUnavailable, repo.RegistryStr(), err)
		return
	}
	if response.StatusCode == http.StatusTooManyRequests {
		// The piece is gone, so the client has to send the blob again, which
		// it does after a 503.
		discard(response)
		_ = sleep(r.Context(), min(retryAfter(response.Header), maxRetryAfter))
		g.failUpstream(w, http.StatusServiceUnavailable, repo.RegistryStr(), errors.New("it has too many requests"))
		return
	}
	if digest != "" && response.StatusCode == http.StatusCreated {
		discard(response)
		g.uploads.close(op.upload)
		upload.passed.keep(r.Context(), digest)
		g.blobCreated(w, digest)
		return
	}
	if location, err := response.Location(); err == nil {
		g.uploads.move(op.upload, location)
	}
	w.Header().Set("Location", uploadsPath(g.policy.push.path, op.upload))
	relay(w, response)
}

func uploadRequest(r *http.Request, upload opened, digest string) (*http.Request, error) {
	end := *upload.address
	if digest != "" {
		query := end.Query()
		query.Set("digest", digest)
		end.RawQuery = query.Encode()
	}
	body := r.Body
	if upload.passed != nil {
		body = struct {
			io.Reader
			io.Closer
		}{io.TeeReader(r.Body, upload.passed), r.Body}
	}
	request, err := http.NewRequestWithContext(r.Context(), r.Method, end.String(), &oneShot{ReadCloser: body})
	if err != nil {
		return nil, err
	}
	if request.ContentLength = r.ContentLength; r.ContentLength == 0 {
		request.Body = http.NoBody
	}
	copyHeader(request.Header, r.Header, "Content-Type", "Content-Range")
	return request, nil
}

func (g *Gate) blobCreated(w http.ResponseWriter, digest string) {
	w.Header().Set("Location", blobPath(g.policy.push.path, digest))
	w.Header().Set("Docker-Content-Digest", digest)
	w.WriteHeader(http.StatusCreated)
}
