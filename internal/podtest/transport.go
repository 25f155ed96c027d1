package podtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// transport carries requests to a handler of this process.
type transport struct {
	handler http.Handler
	faults  Faults
	name    func(*http.Request) Call

	mu     sync.Mutex
	counts map[string]int
}

// newTransport returns a transport to handler; name tells what a request asks for.
func newTransport(handler http.Handler, faults Faults, name func(*http.Request) Call) *transport {
	return &transport{handler: handler, faults: faults, name: name, counts: map[string]int{}}
}

// ask counts a call and says what becomes of it.
func (t *transport) ask(call Call) Fault {
	t.mu.Lock()
	t.counts[call.Op]++
	call.Count = t.counts[call.Op]
	t.mu.Unlock()
	if t.faults == nil {
		return Fault{}
	}
	return t.faults(call)
}

// RoundTrip implements [http.RoundTripper].
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := drain(r)
	if err != nil {
		return nil, err
	}
	call := t.name(r)
	if call.Name == "" {
		call.Name = nameIn(body)
	}
	fault := t.ask(call)
	if r.Context().Err() != nil {
		return nil, context.Cause(r.Context()) // as http.Transport does
	}
	if !fault.fails() {
		return t.carry(r, body, fault.Cut), nil
	}
	if fault.Happened && r.Method != http.MethodGet {
		t.handler.ServeHTTP(httptest.NewRecorder(), again(r.Context(), r, body))
	}
	return fail(r, fault)
}

// drain reads the body of a request, which is the client's to close.
func drain(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	body, err := io.ReadAll(r.Body)
	return body, errors.Join(err, r.Body.Close())
}

// nameIn is the name of the object in a body.
func nameIn(body []byte) string {
	var named struct {
		Metadata struct{ Name, GenerateName string }
	}
	_ = json.Unmarshal(body, &named) // a body without a name has none
	if named.Metadata.Name == "" {
		return strings.TrimSuffix(named.Metadata.GenerateName, "-")
	}
	return named.Metadata.Name
}

// again is a request with its body for the handler.
func again(ctx context.Context, r *http.Request, body []byte) *http.Request {
	copied := r.Clone(ctx)
	copied.Body = io.NopCloser(bytes.NewReader(body))
	copied.RequestURI = r.URL.RequestURI()
	return copied
}

// fail is the answer of a call that fails.
func fail(r *http.Request, fault Fault) (*http.Response, error) {
	if fault.Silent {
		return nil, unanswered(r.Context())
	}
	var status apierrors.APIStatus
	if !errors.As(fault.Err, &status) {
		return nil, fault.Err
	}
	said := httptest.NewRecorder()
	refuse(said, fault.Err)
	response := said.Result()
	response.Request = r
	return response, nil
}

// unanswered waits until ctx ends, or the server's patience.
func unanswered(ctx context.Context) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return errors.New("the server did not answer within a minute")
	}
}

// carry has the handler answer, beside the client that reads the answer.
func (t *transport) carry(r *http.Request, body []byte, cut int64) *http.Response {
	ctx, cancel := context.WithCancel(r.Context())
	reader, writer := io.Pipe()
	a := &answering{header: http.Header{}, begun: make(chan struct{}), body: writer, left: cut, limited: cut > 0}
	go func() {
		t.handler.ServeHTTP(a, again(ctx, r, body))
		a.WriteHeader(http.StatusOK)
		_ = writer.Close() // it always succeeds
	}()
	stop := context.AfterFunc(ctx, func() { _ = writer.CloseWithError(context.Cause(ctx)) })
	<-a.begun
	return &http.Response{
		StatusCode: a.code, Status: http.StatusText(a.code), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.sent, ContentLength: length(a.sent), Request: r,
		Body: &closing{Reader: reader, close: func() error {
			stop()
			cancel()
			return reader.Close()
		}},
	}
}

// length is what the handler has said of the body, -1 where it has said nothing.
func length(header http.Header) int64 {
	n, err := strconv.ParseInt(header.Get("Content-Length"), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// closing is a body with an end of its own.
type closing struct {
	io.Reader
	close func() error
}

// Close implements [io.Closer].
func (c *closing) Close() error { return c.close() }

// answering is the [http.ResponseWriter] of a call.
type answering struct {
	header, sent http.Header
	code         int
	begun        chan struct{} // closed when code and sent are set
	once         sync.Once
	body         *io.PipeWriter
	left         int64 // of the body, where it is limited
	limited      bool
}

// Header implements [http.ResponseWriter].
func (a *answering) Header() http.Header { return a.header }

// WriteHeader implements [http.ResponseWriter].
func (a *answering) WriteHeader(code int) {
	a.once.Do(func() {
		a.code, a.sent = code, a.header.Clone()
		close(a.begun)
	})
}

// Write implements [http.ResponseWriter].
func (a *answering) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	if len(p) == 0 {
		return 0, nil
	}
	if !a.limited || int64(len(p)) <= a.left {
		a.left -= int64(len(p))
		return a.body.Write(p)
	}
	n, _ := a.body.Write(p[:a.left])
	a.left = 0
	_ = a.body.CloseWithError(ErrBroken) // it always succeeds
	return n, ErrBroken
}
