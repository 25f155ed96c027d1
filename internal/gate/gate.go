package gate

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// maxConnections bounds what a client can make the gate hold in memory.
	maxConnections = 64
	maxHeader      = 32 << 10
	// manifestTime is how long a manifest of 4 MiB at most may take. One is
	// handled at a time, so none may take for ever.
	manifestTime = 30 * time.Second
	// maxDrained is how many bytes of a refused request are read.
	maxDrained = 16 << 20
)

// Gate is the registry proxy of one build. It is an [http.Handler]; see the
// package documentation for what it lets through.
type Gate struct {
	policy   *policy
	upstream *upstream
	uploads  uploads
	slot     slot
	pinned   sync.Mutex
	report   report
	// indexes are nil where no layer gets one.
	indexes *indexes
	// manifestTime is how long a manifest may take on its way.
	manifestTime time.Duration
	// inspecting has room for the layers that are inspected.
	inspecting chan struct{}
}

// New returns a gate for the build that config describes. It makes no request;
// errors are about config.
func New(config Config) (*Gate, error) {
	p, err := newPolicy(config)
	if err != nil {
		return nil, err
	}
	out := config.Log
	if out == nil {
		out = io.Discard
	}
	retries := backoff(config.Retries)
	if retries == nil {
		retries = defaultBackoff()
	}
	base := config.Transport
	if base == nil {
		base = newTransport(config, p.plain)
	}
	g := &Gate{
		policy:   p,
		upstream: newUpstream(base, p, retries),
		uploads:  uploads{opened: map[string]opened{}},
		report:   report{out: out},

		manifestTime: cmp.Or(config.ManifestTime, manifestTime),
		inspecting:   make(chan struct{}, maxInspected),
	}
	if config.Index {
		g.indexes = newIndexes(p.indexStore(base), &g.report, config.IndexWait, config.IndexPulled)
	}
	return g, nil
}

// Serve answers connections from listener until ctx is done, which is no error,
// and closes the listener. Requests under way are cut off then: the build is
// over, and nobody reads their answers.
func (g *Gate) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler:           g,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          log.New(noteWriter{&g.report}, "", 0),
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	defer g.abandon()
	defer g.upstream.close()
	g.report.line("listening")
	err := server.Serve(newLimitListener(listener, maxConnections))
	if ctx.Err() != nil && errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// abandon gives up what is being made of uploads.
func (g *Gate) abandon() {
	g.uploads.abandon()
	g.indexes.end()
}

// noteWriter makes diagnoses of what net/http logs.
type noteWriter struct{ report *report }

// Write implements [io.Writer]: net/http writes a line at a time.
func (w noteWriter) Write(line []byte) (int, error) {
	w.report.note("%s", line[:max(0, len(line)-1)])
	return len(line), nil
}

// ServeHTTP implements [http.Handler].
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	op, reason := g.policy.route(r)
	if reason != "" {
		g.deny(w, r, reason)
		return
	}
	if op.kind == "manifests" {
		defer hurry(w, g.manifestTime)()
	}
	switch op.action {
	case ping:
		w.WriteHeader(http.StatusOK)
	case pull:
		g.pull(w, r, op)
	case pullPinned:
		// What is checked is held in memory, one at a time.
		g.pinned.Lock()
		defer g.pinned.Unlock()
		g.pull(w, r, op)
	case ownManifest:
		// The client asks whether there is something to push. Whatever the
		// registry holds under this tag, this build's manifest replaces it.
		fail(w, http.StatusNotFound, codeManifestUnknown, "not pushed by this build")
	case findBlob:
		g.findBlob(w, r, op)
	case startUpload:
		g.startUpload(w, r, op)
	case continueUpload:
		g.continueUpload(w, r, op)
	case putManifest:
		g.putManifest(w, r, op)
	}
}

// hurry gives the client of a request that long to send and to read what it
// asks for. What is returned ends the hurry: the connection may be used again.
func hurry(w http.ResponseWriter, limit time.Duration) (end func()) {
	control := http.NewResponseController(w)
	set := func(until time.Time) {
		_ = control.SetReadDeadline(until)
		_ = control.SetWriteDeadline(until)
	}
	set(time.Now().Add(2 * limit))
	return func() { set(time.Time{}) }
}

// deny refuses a request and reports it.
func (g *Gate) deny(w http.ResponseWriter, r *http.Request, reason string) {
	g.report.denied(r.Method, r.URL.EscapedPath(), reason)
	// A client that is still sending when the connection ends does not see
	// the answer; one that sends more than this is not worth it.
	_, _ = io.CopyN(io.Discard, r.Body, maxDrained)
	w.Header().Set("Connection", "close")
	fail(w, http.StatusForbidden, codeDenied, reason)
}
