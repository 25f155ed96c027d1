package podrun

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// sampleLog is a log as the kubelet gives it with timestamps, and sampleText what
// the container printed. All of it is of one second.
const (
	sampleLog  = "2026-01-02T03:04:05.000000001Z one\r\n2026-01-02T03:04:05.000000002Z \n2026-01-02T03:04:05.000000003Z two \x00\xff\n2026-01-02T03:04:05.4Z no end"
	sampleText = "one\r\n\ntwo \x00\xff\nno end"
)

// logs answers requests for a log. how may end a response early: it gets the number
// of the request.
func logs(how func(n int32, w http.ResponseWriter)) func(http.ResponseWriter, *http.Request) bool {
	var n atomic.Int32
	return func(w http.ResponseWriter, _ *http.Request) bool {
		how(n.Add(1), w)
		return true
	}
}

func whole(_ int32, w http.ResponseWriter) { _, _ = w.Write([]byte(sampleLog)) }

// collect follows and returns the log.
func collect(ctx context.Context, client Client) (string, error) {
	var got bytes.Buffer
	err := client.Follow(ctx, "p", "job", func(p []byte) error { got.Write(p); return nil })
	return got.String(), err
}

// TestFollowRequests wants each request to ask for what it should.
func TestFollowRequests(t *testing.T) {
	api, client := newAPIServer(t, with(aPod("1"), runs))
	var mu sync.Mutex
	var asked []string
	api.onLog = func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.URL.RawQuery)
		whole(0, w)
		api.change(exits(0))
		return true
	}
	if got, err := collect(until(t), client); err != nil || got != sampleText {
		t.Errorf("log = %q, error = %v, want %q", got, err, sampleText)
	}
	const first, last = "container=job&follow=true&timestamps=true", "container=job&sinceTime=2026-01-02T03%3A04%3A04Z&timestamps=true"
	if len(asked) < 2 || asked[0] != first || asked[len(asked)-1] != last {
		t.Errorf("asked for %q, want %q at first and %q at last", asked, first, last)
	}
}

// TestFollowBreaks breaks the first streams in the ways of HTTP while the container
// runs; it ends after the third.
func TestFollowBreaks(t *testing.T) {
	for name, broken := range map[string]func(w http.ResponseWriter){
		"reset in a line": func(w http.ResponseWriter) {
			_, _ = w.Write([]byte(sampleLog[:len(sampleLog)/2]))
			w.(http.Flusher).Flush()
			abort()
		},
		"reset at once": func(http.ResponseWriter) { abort() },
		"bad gateway":   func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) },
		"gone": func(w http.ResponseWriter) {
			refuse(w, http.StatusGone, metav1.StatusReasonGone, "gone")
		},
	} {
		t.Run(name, func(t *testing.T) {
			api, client := newAPIServer(t, with(aPod("1"), runs))
			api.onLog = logs(func(n int32, w http.ResponseWriter) {
				if n == 3 {
					api.change(exits(0))
				}
				if n <= 3 {
					broken(w)
					return
				}
				whole(n, w)
			})
			if got, err := collect(until(t), client); err != nil || got != sampleText {
				t.Errorf("log = %q, error = %v, want %q", got, err, sampleText)
			}
		})
	}
}

// TestFollowNeverRan: what never ran has an empty log.
func TestFollowNeverRan(t *testing.T) {
	for name, change := range map[string]func(*corev1.Pod){
		"evicted while pending": func(p *corev1.Pod) { p.Status.Phase, p.Status.Reason = corev1.PodFailed, "Evicted" },
		"start error": func(p *corev1.Pod) {
			exits(128)(p)
			p.Status.ContainerStatuses[0].State.Terminated.Reason = "StartError"
		},
	} {
		t.Run(name, func(t *testing.T) {
			api, client := newAPIServer(t, with(aPod("1"), change))
			api.onLog = logs(func(_ int32, w http.ResponseWriter) {
				refuse(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, `container "job" in pod "p" is waiting to start: ContainerCreating`)
			})
			if got, err := collect(until(t), client); err != nil || got != "" {
				t.Errorf("log = %q, error = %v, want nothing", got, err)
			}
		})
	}
}

// TestFollowGone hands over what was read of a pod that is deleted.
func TestFollowGone(t *testing.T) {
	api, client := newAPIServer(t, with(aPod("1"), runs))
	api.onLog = logs(func(n int32, w http.ResponseWriter) {
		if n == 1 {
			whole(n, w)
			api.remove()
			return
		}
		refuse(w, 404, metav1.StatusReasonNotFound, "no pod")
	})
	got, err := collect(until(t), client)
	if !errors.Is(err, ErrGone) || got != sampleText {
		t.Errorf("log = %q, error = %v, want all of it and ErrGone", got, err)
	}
}

// TestFollowForbidden names the right that is missing.
func TestFollowForbidden(t *testing.T) {
	api, client := newAPIServer(t, with(aPod("1"), runs))
	api.onLog = logs(func(_ int32, w http.ResponseWriter) {
		refuse(w, 403, metav1.StatusReasonForbidden, `pods "p" is forbidden: User "u" cannot get resource "pods/log" in API group "" in the namespace "ns"`)
	})
	_, err := collect(until(t), client)
	contains(t, err, "log of container job may be incomplete", `needs the verb "get" on "pods/log" in namespace ns`)
	if strings.Contains(err.Error(), "log may be incomplete") {
		t.Errorf("error = %v, which says twice what may be incomplete", err)
	}
}

// TestFollowSinkError returns the sink's error as it is.
func TestFollowSinkError(t *testing.T) {
	api, client := newAPIServer(t, with(aPod("1"), runs))
	api.onLog = logs(whole)
	mine := errors.New("mine")
	if err := client.Follow(until(t), "p", "job", func([]byte) error { return mine }); err != mine { //nolint:errorlint // as it is, not wrapped
		t.Errorf("error = %v, want the sink's", err)
	}
}
