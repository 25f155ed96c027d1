package gate

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// answer is a registry's answer to a pull, and whether it was ended.
type answer struct {
	io.Reader
	closed bool
}

// Close implements [io.Closer].
func (a *answer) Close() error {
	a.closed = true
	return nil
}

// relayWithoutRoom relays a layer whose index is wanted, as the answer of a request, where
// no further one can be looked through. It returns what the client got, and the panic.
func relayWithoutRoom(t *testing.T, g *Gate, r *http.Request, repo *repository, layer []byte) (got *httptest.ResponseRecorder, body *answer, ended any) {
	t.Helper()
	got, body = httptest.NewRecorder(), &answer{Reader: bytes.NewReader(layer)}
	func() {
		defer func() { ended = recover() }()
		op := operation{action: pull, repo: repo, kind: "blobs", ref: digestOfBytes(layer)}
		g.relayPull(got, r, op, &http.Response{StatusCode: http.StatusOK, Body: body})
	}()
	g.indexes.settle()
	return got, body, ended
}

// TestPullWithoutRoom: where no further layer can be looked through, one that is to be
// inspected waits, as long as somebody waits for it; an index is not waited for. Another
// pull may make it.
func TestPullWithoutRoom(t *testing.T) {
	layer := layerOf(t, "a")
	left, leave := context.WithCancel(t.Context())
	leave()
	for name, tt := range map[string]struct {
		ctx       context.Context
		inspector *inspector
		got       []byte
		ended     error
	}{
		"an index":   {t.Context(), nil, layer, nil},
		"inspection": {left, newInspector(Inspection{}), nil, http.ErrAbortHandler},
	} {
		t.Run(name, func(t *testing.T) {
			i, _ := keeping(digestOfBytes(layer))
			defer i.end()
			g := &Gate{indexes: i, inspecting: make(chan struct{})}
			r := httptest.NewRequestWithContext(tt.ctx, "GET", "/", http.NoBody)
			got, body, ended := relayWithoutRoom(t, g, r, &repository{inspector: tt.inspector}, layer)
			if err, _ := ended.(error); !errors.Is(err, tt.ended) || !bytes.Equal(got.Body.Bytes(), tt.got) {
				t.Errorf("%d bytes of %d come, %v", got.Body.Len(), len(layer), ended)
			}
			if !body.closed || i.memory.Load() != indexMemory || !i.claim(digestOfBytes(layer)) {
				t.Errorf("answer closed %t, %d bytes left of %d, or no index any more", body.closed, i.memory.Load(), indexMemory)
			}
		})
	}
}
