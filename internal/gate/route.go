package gate

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
)

// The parts of a request path that names content. Every repository is looked up
// in the policy, so its characters need no further check.
var (
	contentPath = regexp.MustCompile(`^/v2/(.+)/(manifests|blobs)/([A-Za-z0-9_.:+-]+)$`)
	uploadPath  = regexp.MustCompile(`^/v2/(.+)/blobs/uploads/([0-9]*)$`)
	digestForm  = regexp.MustCompile(`^(sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$`)
)

// action is what a permitted request asks for.
type action int

const (
	ping action = iota
	pull
	pullPinned
	ownManifest
	findBlob
	startUpload
	continueUpload
	putManifest
)

// operation is a request that the policy permits.
type operation struct {
	action action
	// repo is the repository to pull from.
	repo *repository
	// kind is "manifests" or "blobs", ref the tag or digest to ask for: that of
	// a pinned tag is its digest.
	kind, ref string
	// upload is the number of an upload.
	upload string
	query  url.Values
}

// route returns what a request asks for, or the rule that forbids it.
func (p *policy) route(r *http.Request) (op operation, reason string) {
	path := r.URL.EscapedPath()
	reading := r.Method == http.MethodGet || r.Method == http.MethodHead
	if reading && (path == "/v2/" || path == "/v2") {
		return operation{action: ping}, ""
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return operation{}, "the query cannot be read"
	}
	if match := uploadPath.FindStringSubmatch(path); match != nil && match[1] == p.push.path {
		return p.routeUpload(r.Method, match[2], query)
	}
	match := contentPath.FindStringSubmatch(path)
	if match == nil {
		return operation{}, "not a request that a build needs"
	}
	op = operation{repo: p.pulls[match[1]], kind: match[2], ref: match[3], query: query}
	switch {
	case reading:
		return p.routeRead(op, r.Method, match[1])
	case r.Method == http.MethodPut && op.kind == "manifests":
		return p.routeManifest(op, match[1])
	}
	return operation{}, "not a request that a build needs"
}

// routeRead decides about GET and HEAD of manifests and blobs. Queries are not
// forwarded, so what they say does not matter.
func (p *policy) routeRead(op operation, method, path string) (operation, string) {
	op.action = pull
	digest := digestForm.MatchString(op.ref)
	if path == p.push.path {
		switch {
		case op.kind == "manifests" && op.ref == p.tag:
			return operation{action: ownManifest}, ""
		case op.kind == "blobs" && digest && method == http.MethodHead:
			return operation{action: findBlob, ref: op.ref}, ""
		}
	}
	switch {
	case op.repo == nil:
		return operation{}, "the Dockerfile names no image of this repository"
	case digest:
		return op, ""
	}
	pin, named := op.repo.tags[op.ref]
	if op.kind == "blobs" || !named {
		return operation{}, "the Dockerfile does not name this tag"
	}
	if pin != "" {
		op.action, op.ref = pullPinned, pin
	}
	return op, ""
}

func (p *policy) routeManifest(op operation, path string) (operation, string) {
	switch {
	case path != p.push.path:
		return operation{}, "a build pushes to one repository only"
	case op.ref != p.tag:
		return operation{}, "a build pushes one tag only"
	case len(op.query) > 0:
		return operation{}, "a manifest is pushed without a query"
	}
	op.action = putManifest
	return op, ""
}

func (p *policy) routeUpload(method, upload string, query url.Values) (operation, string) {
	op := operation{action: continueUpload, upload: upload, query: query}
	var known []string
	switch {
	case upload == "" && method == http.MethodPost:
		op.action = startUpload
		known = []string{"mount", "from", "origin"}
	case upload != "" && method == http.MethodPut:
		known = []string{"digest"}
		if !digestForm.MatchString(query.Get("digest")) {
			return operation{}, "an upload ends with a digest"
		}
	case upload != "" && (method == http.MethodPatch || method == http.MethodGet):
	default:
		return operation{}, "not a request that a build needs"
	}
	for key, values := range query {
		if !slices.Contains(known, key) || len(values) != 1 {
			return operation{}, "the query is not one of an upload"
		}
	}
	return op, ""
}

// manifestPath and blobPath are paths on a registry.
func manifestPath(repository, ref string) string { return "/v2/" + repository + "/manifests/" + ref }

func blobPath(repository, digest string) string { return "/v2/" + repository + "/blobs/" + digest }

func uploadsPath(repository, upload string) string {
	return "/v2/" + repository + "/blobs/uploads/" + upload
}
