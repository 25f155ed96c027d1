package podrun

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// channelClose and channelStdin are the message types of the protocol
// v5.channel.k8s.io.
const (
	channelStdin = 0
	channelError = 3
	channelClose = 255
)

// socket upgrades a request to v5.channel.k8s.io and calls serve.
func socket(t *testing.T, serve func(conn *websocket.Conn)) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !websocket.IsWebSocketUpgrade(r) {
			w.WriteHeader(http.StatusBadRequest)
			return true
		}
		query := r.URL.Query()
		if query.Get("container") != "kaniko" || query.Get("stdin") != "true" || query.Get("stdout") != "" {
			t.Errorf("query = %s", r.URL.RawQuery)
		}
		upgrader := websocket.Upgrader{Subprotocols: []string{"v5.channel.k8s.io"}}
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			t.Errorf("upgrade: %v", err)
			return true
		}
		defer conn.Close()
		serve(conn)
		return true
	}
}

// receive reads stdin until it is closed or limit bytes have come.
func receive(conn *websocket.Conn, into *bytes.Buffer, limit int) (closed bool) {
	for into.Len() < limit {
		_, message, err := conn.ReadMessage()
		switch {
		case err != nil:
			return false
		case message[0] == channelClose:
			return true
		case message[0] == channelStdin:
			into.Write(message[1:])
		}
	}
	return false
}

// goodbye ends the stream as the API server does.
func goodbye(conn *websocket.Conn) {
	_ = conn.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""))
}

const everything = 1 << 30

func TestAttachSendsAll(t *testing.T) {
	want := bytes.Repeat([]byte("context\x00"), 200_000)
	api, client := newAPIServer(t, nil)
	var got bytes.Buffer
	closed := false
	api.onAttach = socket(t, func(conn *websocket.Conn) {
		closed = receive(conn, &got, everything)
		goodbye(conn)
	})
	if err := client.Attach(until(t), "p", "kaniko", bytes.NewReader(want)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) || !closed {
		t.Errorf("received %d of %d bytes, closed = %v", got.Len(), len(want), closed)
	}
}

// endless never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestAttachCutShort(t *testing.T) {
	tests := map[string]struct {
		stdin io.Reader
		serve func(conn *websocket.Conn)
		want  string
	}{
		"container stops reading": {
			endless{}, func(conn *websocket.Conn) { receive(conn, new(bytes.Buffer), 100_000); goodbye(conn) }, "stopped reading after",
		},
		"connection lost": {
			endless{}, func(conn *websocket.Conn) { receive(conn, new(bytes.Buffer), 100_000); _ = conn.NetConn().Close() }, "connection lost after",
		},
		"runtime error": {
			bytes.NewReader(make([]byte, 10)), func(conn *websocket.Conn) {
				receive(conn, new(bytes.Buffer), everything)
				_ = conn.WriteMessage(websocket.BinaryMessage, append([]byte{channelError},
					`{"metadata":{},"status":"Failure","message":"container is not running","reason":"InternalError"}`...))
				goodbye(conn)
			}, "container is not running",
		},
		"input fails": {
			io.MultiReader(bytes.NewReader(make([]byte, 10)), failing{errors.New("disk error")}), func(conn *websocket.Conn) {
				receive(conn, new(bytes.Buffer), everything)
				goodbye(conn)
			}, "read input after 10 bytes: disk error",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			api, client := newAPIServer(t, nil)
			api.onAttach = socket(t, test.serve)
			contains(t, client.Attach(until(t), "p", "kaniko", test.stdin), "pod ns/p", test.want)
		})
	}
}

func TestAttachCancelled(t *testing.T) {
	api, client := newAPIServer(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	api.onAttach = socket(t, func(conn *websocket.Conn) {
		receive(conn, new(bytes.Buffer), 1)
		cancel()
		receive(conn, new(bytes.Buffer), everything)
	})
	if err := client.Attach(ctx, "p", "kaniko", endless{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want context.Canceled", err)
	}
}

func TestAttachRefused(t *testing.T) {
	tests := map[string]struct {
		code   int32
		reason metav1.StatusReason
		text   string
		want   string
	}{
		"missing right": {
			403, metav1.StatusReasonForbidden, `pods "p" is forbidden: User "u" cannot get resource "pods/attach" in API group "" in the namespace "ns"`,
			`needs the verb "get" on "pods/attach" in namespace ns`,
		},
		"no pod":      {404, metav1.StatusReasonNotFound, `pods "p" not found`, ErrGone.Error()},
		"not running": {400, metav1.StatusReasonBadRequest, "container kaniko is not running", "container kaniko is not running"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			api, client := newAPIServer(t, nil)
			api.onAttach = func(w http.ResponseWriter, _ *http.Request) bool {
				refuse(w, test.code, test.reason, test.text)
				return true
			}
			contains(t, client.Attach(until(t), "p", "kaniko", endless{}), "attach pods ns/p", test.want)
		})
	}
}

// TestKnock: what arrives, and what is certain not to have arrived.
func TestKnock(t *testing.T) {
	taken := func(end string) func(w http.ResponseWriter, r *http.Request) bool {
		return socket(t, func(conn *websocket.Conn) {
			receive(conn, new(bytes.Buffer), everything)
			if end != "" {
				_ = conn.WriteMessage(websocket.BinaryMessage, append([]byte{channelError}, `{"metadata":{},"status":"Failure","message":"`+end+`","reason":"InternalError"}`...))
			}
			goodbye(conn)
		})
	}
	refused := func(w http.ResponseWriter, _ *http.Request) bool {
		refuse(w, 400, metav1.StatusReasonBadRequest, "pod p does not have a host assigned")
		return true
	}
	for name, tt := range map[string]struct {
		serve  func(w http.ResponseWriter, r *http.Request) bool
		notYet bool
		err    string
	}{
		"a container that runs":     {taken(""), false, ""},
		"a pod without a node":      {refused, true, "does not have a host assigned"},
		"no container, as of 1.30":  {taken("Internal error occurred: unable to upgrade connection: container kaniko not found in pod p_ns"), true, "not found in pod"},
		"a stream that breaks off":  {taken("Internal error occurred: error attaching to container"), false, "connection lost after 10 bytes"},
		"a proxy without WebSocket": {func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusForbidden); return true }, true, "the container takes no input"},
	} {
		t.Run(name, func(t *testing.T) {
			api, client := newAPIServer(t, nil)
			requests := 0
			api.onAttach = func(w http.ResponseWriter, r *http.Request) bool { requests++; return tt.serve(w, r) }
			err := client.Knock(until(t), "p", "kaniko", strings.NewReader("0123456789"))
			if errors.Is(err, ErrNotYet) != tt.notYet || requests != 1 {
				t.Errorf("error %v after %d requests", err, requests)
			}
			if tt.err != "" {
				contains(t, err, tt.err)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// TestKnockRefused: nothing of the input is read for a container that does not run, for
// whatever reason, and nothing unread counts as sent.
func TestKnockRefused(t *testing.T) {
	for name, message := range map[string]string{
		"no container":   "unable to upgrade connection: container kaniko not found",
		"no kubelet":     "Internal error occurred: error sending request: connect: connection refused",
		"no explanation": "",
	} {
		t.Run(name, func(t *testing.T) {
			api, client := newAPIServer(t, nil)
			api.onAttach = socket(t, func(conn *websocket.Conn) {
				if message != "" {
					_ = conn.WriteMessage(websocket.BinaryMessage, append([]byte{channelError}, `{"metadata":{},"status":"Failure","message":"`+message+`","reason":"InternalError"}`...))
				}
				goodbye(conn)
			})
			input := strings.NewReader("0123456789")
			held := &heldReader{source: input, until: make(chan time.Time)} // for ever
			if err := client.knock(until(t), "p", "kaniko", held); !errors.Is(err, ErrNotYet) || input.Len() != 10 {
				t.Errorf("error %v, %d of 10 bytes left", err, input.Len())
			}
		})
	}
}

// TestAttachFallsBack: a proxy that knows no WebSocket.
func TestAttachFallsBack(t *testing.T) {
	want := bytes.Repeat([]byte("context\x00"), 20_000)
	api, client := newAPIServer(t, nil)
	got := make(chan []byte, 1)
	api.onAttach = func(w http.ResponseWriter, r *http.Request) bool {
		if websocket.IsWebSocketUpgrade(r) {
			w.WriteHeader(http.StatusForbidden)
			return true
		}
		serveSPDY(t, w, r, got)
		return true
	}
	if err := client.Attach(until(t), "p", "kaniko", bytes.NewReader(want)); err != nil {
		t.Fatal(err)
	}
	if received := <-got; !bytes.Equal(received, want) {
		t.Errorf("received %d of %d bytes", len(received), len(want))
	}
}

// serveSPDY receives stdin over SPDY and then ends the streams.
func serveSPDY(t *testing.T, w http.ResponseWriter, r *http.Request, got chan<- []byte) {
	if _, err := httpstream.Handshake(r, w, []string{"v4.channel.k8s.io"}); err != nil {
		t.Errorf("handshake: %v", err)
		return
	}
	streams := make(chan httpstream.Stream, 2)
	conn := spdy.NewResponseUpgrader().UpgradeResponse(w, r, func(s httpstream.Stream, _ <-chan struct{}) error {
		streams <- s
		return nil
	})
	if conn == nil {
		t.Error("no SPDY connection")
		return
	}
	defer conn.Close()
	for range 2 {
		if s := <-streams; s.Headers().Get("streamType") == "stdin" {
			data, err := io.ReadAll(s)
			if err != nil {
				t.Errorf("read stdin: %v", err)
			}
			got <- data
		} else {
			defer s.Close()
		}
	}
}

// failing is a reader that ends with an error.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
