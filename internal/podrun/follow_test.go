package podrun

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

// logs serves f as the kubelet serves a log that grows no more. how may end a
// response early: it gets the number of the request and the whole answer.
func logs(f *logFile, how func(n int32, w http.ResponseWriter, answer []byte)) func(http.ResponseWriter, *http.Request) bool {
	var n atomic.Int32
	return func(w http.ResponseWriter, r *http.Request) bool {
		var since time.Time
		if text := r.URL.Query().Get("sinceTime"); text != "" {
			since, _ = time.Parse(time.RFC3339, text)
		}
		how(n.Add(1), w, f.stream(since, len(f.entries)))
		return true
	}
}

func whole(_ int32, w http.ResponseWriter, answer []byte) { _, _ = w.Write(answer) }

// sampleLog has what is easily damaged.
func sampleLog() *logFile {
	f := &logFile{}
	f.write(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), 300*time.Millisecond, 16,
		[]byte("one\r\n\ntwo \x00\xff\nlonger than one fragment of the runtime\r\rprogress\n::error::x\nno end"))
	return f
}

// collect follows and returns the log.
func collect(ctx context.Context, client Client) (string, error) {
	var got bytes.Buffer
	err := client.Follow(ctx, "p", "job", func(p []byte) error { got.Write(p); return nil })
	return got.String(), err
}

func TestFollowEndedContainer(t *testing.T) {
	f := sampleLog()
	api, client := newAPIServer(t, with(aPod("1"), exits(0)))
	api.onLog = logs(f, whole)
	got, err := collect(until(t), client)
	if err != nil || got != string(f.bytes()) {
		t.Errorf("log = %q, error = %v, want %q", got, err, f.bytes())
	}
}

// TestFollowSilentStreams has streams of an ended container's log end before
// they bring anything. A log that stays silent is empty.
func TestFollowSilentStreams(t *testing.T) {
	all := sampleLog().bytes()
	half := func(answer []byte) []byte { return answer[:bytes.IndexByte(answer, '\n')+1] }
	for name, tt := range map[string]struct {
		answer func(n int32, whole []byte) []byte
		want   string
		asked  int32
	}{
		"at first": {func(n int32, whole []byte) []byte {
			if n <= 2 {
				return nil
			}
			return whole
		}, string(all), 4},
		"in the middle": {func(n int32, whole []byte) []byte {
			switch n {
			case 1:
				return half(whole)
			case 2, 3:
				return nil
			}
			return whole
		}, string(all), 5},
		"for ever": {func(int32, []byte) []byte { return nil }, "", 3},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			api, client := newAPIServer(t, with(aPod("1"), exits(0)))
			api.onLog = logs(sampleLog(), func(n int32, w http.ResponseWriter, answer []byte) {
				asked.Store(n)
				whole(n, w, tt.answer(n, answer))
			})
			got, err := collect(until(t), client)
			if err != nil || got != tt.want {
				t.Errorf("log = %q, error = %v, want %q", got, err, tt.want)
			}
			if n := asked.Load(); n != tt.asked {
				t.Errorf("it was asked for %d times, want %d", n, tt.asked)
			}
		})
	}
}

// TestFollowBreaks breaks the first streams in every way while the container
// runs; it ends after the third.
func TestFollowBreaks(t *testing.T) {
	breaks := map[string]func(w http.ResponseWriter, answer []byte){
		"clean end in a line": func(w http.ResponseWriter, answer []byte) { _, _ = w.Write(answer[:min(45, len(answer))]) },
		"clean end of the log": func(w http.ResponseWriter, answer []byte) {
			_, _ = w.Write(answer)
		},
		"reset in a line": func(w http.ResponseWriter, answer []byte) {
			_, _ = w.Write(answer[:len(answer)/2])
			w.(http.Flusher).Flush()
			abort()
		},
		"reset at once": func(http.ResponseWriter, []byte) { abort() },
		"bad gateway":   func(w http.ResponseWriter, _ []byte) { w.WriteHeader(http.StatusBadGateway) },
		"gone": func(w http.ResponseWriter, _ []byte) {
			refuse(w, http.StatusGone, metav1.StatusReasonGone, "gone")
		},
		"kubelet out of watches": func(w http.ResponseWriter, answer []byte) {
			_, _ = w.Write(append(answer, "failed to create fsnotify watcher: too many open files"...))
		},
	}
	for name, broken := range breaks {
		t.Run(name, func(t *testing.T) {
			f := sampleLog()
			api, client := newAPIServer(t, with(aPod("1"), runs))
			api.onLog = logs(f, func(n int32, w http.ResponseWriter, answer []byte) {
				if n == 3 {
					api.change(exits(0))
				}
				if n <= 3 {
					broken(w, answer)
					return
				}
				_, _ = w.Write(answer)
			})
			got, err := collect(until(t), client)
			if err != nil || got != string(f.bytes()) {
				t.Errorf("log = %q, error = %v, want %q", got, err, f.bytes())
			}
		})
	}
}

// TestFollowFullSpeed follows some megabytes through many breaks of all kinds.
func TestFollowFullSpeed(t *testing.T) {
	f := &logFile{}
	line := bytes.Repeat([]byte("0123456789"), 10)
	var output []byte
	for i := range 20_000 {
		output = append(append(output, line[:i%100]...), '\n')
	}
	f.write(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), 20*time.Microsecond, 16<<10, output)
	api, client := newAPIServer(t, with(aPod("1"), runs))
	random := rand.New(rand.NewPCG(1, 2))
	api.onLog = logs(f, func(n int32, w http.ResponseWriter, answer []byte) {
		if n == 10 {
			api.change(exits(0))
		}
		if n >= 15 {
			_, _ = w.Write(answer)
			return
		}
		_, _ = w.Write(answer[:len(answer)*int(n)/15+random.IntN(len(answer)/15)])
		if n%3 == 0 {
			abort()
		}
	})
	got, err := collect(until(t), client)
	if err != nil || got != string(output) {
		t.Errorf("log of %d bytes came out as %d bytes, error = %v", len(output), len(got), err)
	}
}

func TestFollowWaitsForStart(t *testing.T) {
	f := sampleLog()
	api, client := newAPIServer(t, aPod("1"))
	var started atomic.Bool
	api.onWatch = func(http.ResponseWriter, *http.Request) bool {
		if started.CompareAndSwap(false, true) {
			go api.change(exits(0))
		}
		return false
	}
	serve := logs(f, whole)
	api.onLog = func(w http.ResponseWriter, r *http.Request) bool {
		if !started.Load() {
			t.Error("log was asked for before the container ran")
		}
		return serve(w, r)
	}
	if got, err := collect(until(t), client); err != nil || got != string(f.bytes()) {
		t.Errorf("log = %q, error = %v", got, err)
	}
}

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
			api.onLog = func(http.ResponseWriter, *http.Request) bool {
				t.Error("log was asked for")
				return true
			}
			if got, err := collect(until(t), client); err != nil || got != "" {
				t.Errorf("log = %q, error = %v, want nothing", got, err)
			}
		})
	}
}

func TestFollowGone(t *testing.T) {
	f := sampleLog()
	api, client := newAPIServer(t, with(aPod("1"), runs))
	api.onLog = logs(f, func(n int32, w http.ResponseWriter, answer []byte) {
		if n == 1 {
			_, _ = w.Write(answer)
			api.remove()
			return
		}
		refuse(w, 404, metav1.StatusReasonNotFound, "no pod")
	})
	got, err := collect(until(t), client)
	if !errors.Is(err, ErrGone) || got != string(f.bytes()) {
		t.Errorf("log = %q, error = %v, want all of it and ErrGone", got, err)
	}
}

func TestFollowForbidden(t *testing.T) {
	api, client := newAPIServer(t, with(aPod("1"), runs))
	api.onLog = func(w http.ResponseWriter, _ *http.Request) bool {
		refuse(w, 403, metav1.StatusReasonForbidden, `pods "p" is forbidden: User "u" cannot get resource "pods/log" in API group "" in the namespace "ns"`)
		return true
	}
	_, err := collect(until(t), client)
	contains(t, err, "log of container job may be incomplete", `needs the verb "get" on "pods/log" in namespace ns`)
}

// TestFollowGivesUp: the log of an ended container whose node does not answer.
func TestFollowGivesUp(t *testing.T) {
	api, client := newAPIServer(t, with(aPod("1"), exits(0)))
	var tries atomic.Int32
	api.onLog = func(w http.ResponseWriter, _ *http.Request) bool {
		tries.Add(1)
		refuse(w, 500, metav1.StatusReasonInternalError, "dial tcp 10.0.0.1:10250: connect: no route to host")
		return true
	}
	ctx := until(t)
	f := follower{
		client: client, pod: "p", container: "job", life: client.watchLife(ctx, "p", "job"),
		lines:  newLines(func([]byte) error { return nil }),
		pauses: func() *wait.Backoff { return &wait.Backoff{Duration: time.Millisecond} },
		tick:   time.Second,
	}
	contains(t, f.run(ctx), "may be incomplete", "no route to host")
	if got := tries.Load(); got != finalTries {
		t.Errorf("asked %d times, want %d", got, finalTries)
	}
}

// TestFollowUnreachable: the log of a running container to which no route leads.
func TestFollowUnreachable(t *testing.T) {
	api, client := newAPIServer(t, with(aPod("1"), runs))
	api.onLog = func(w http.ResponseWriter, _ *http.Request) bool {
		refuse(w, 500, metav1.StatusReasonInternalError, "dial tcp 10.0.0.1:10250: connect: no route to host")
		return true
	}
	ctx := until(t)
	f := follower{
		client: client, pod: "p", container: "job", life: client.watchLife(ctx, "p", "job"),
		lines:  newLines(func([]byte) error { return nil }),
		pauses: func() *wait.Backoff { return &wait.Backoff{Duration: time.Millisecond} },
		tick:   time.Second, unreachable: 10 * time.Millisecond,
	}
	contains(t, f.run(ctx), "may be incomplete", "no route to host")
}

func TestFollowStops(t *testing.T) {
	t.Run("sink error", func(t *testing.T) {
		api, client := newAPIServer(t, with(aPod("1"), runs))
		api.onLog = logs(sampleLog(), whole)
		mine := errors.New("mine")
		err := client.Follow(until(t), "p", "job", func([]byte) error { return mine })
		if !errors.Is(err, mine) {
			t.Errorf("error = %v, want the sink's", err)
		}
	})
	t.Run("context while following", func(t *testing.T) {
		api, client := newAPIServer(t, with(aPod("1"), runs))
		ctx, cancel := context.WithCancel(t.Context())
		api.onLog = func(w http.ResponseWriter, r *http.Request) bool {
			w.(http.Flusher).Flush()
			cancel()
			<-r.Context().Done()
			return true
		}
		if _, err := collect(ctx, client); !errors.Is(err, context.Canceled) {
			t.Errorf("error = %v, want context.Canceled", err)
		}
	})
}

// TestFollowMissedRotation: after a burst the kubelet sits at the end of a file
// that was rotated away; the log goes on in the next one.
func TestFollowMissedRotation(t *testing.T) {
	f := &logFile{}
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	f.write(start, time.Millisecond, 16<<10, bytes.Repeat(append(bytes.Repeat([]byte("x"), 1023), '\n'), burst>>10))
	rotated := len(f.entries)
	f.write(start.Add(time.Minute), time.Millisecond, 16<<10, []byte("in the next file\n"))
	api, client := newAPIServer(t, with(aPod("1"), runs))
	var n atomic.Int32
	next := logs(f, func(_ int32, w http.ResponseWriter, answer []byte) {
		_, _ = w.Write(answer)
		api.change(exits(0))
	})
	api.onLog = func(w http.ResponseWriter, r *http.Request) bool {
		if n.Add(1) > 1 {
			return next(w, r)
		}
		_, _ = w.Write(f.stream(time.Time{}, rotated))
		f.rotated = rotated
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		return true
	}
	got, err := collect(until(t), client)
	if err != nil || got != string(f.bytes()) {
		t.Errorf("log of %d bytes came out as %d bytes, error = %v", len(f.bytes()), len(got), err)
	}
}

func TestPatience(t *testing.T) {
	over, runs := &life{latest: phase{ran: true, over: true}}, &life{latest: phase{ran: true}}
	tests := map[string]struct {
		life    *life
		brought int64
		want    time.Duration
	}{
		"running":       {runs, burst - 1, quiet},
		"after a burst": {runs, burst, quietBurst},
		"ended":         {over, burst, quietOver},
	}
	for name, test := range tests {
		f := follower{life: test.life}
		if got := f.patience(test.brought); got != test.want {
			t.Errorf("%s: patience = %v, want %v", name, got, test.want)
		}
	}
}

func TestTimedReader(t *testing.T) {
	source, end := io.Pipe()
	r := &timedReader{source: source}
	if got := r.silence(time.Now()); got != 0 {
		t.Errorf("silence before a read = %v", got)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = r.Read(make([]byte, 1))
	}()
	for r.silence(time.Now().Add(time.Hour)) < time.Minute {
		runtime.Gosched()
	}
	_ = end.Close()
	<-read
	if got := r.silence(time.Now().Add(time.Hour)); got != 0 {
		t.Errorf("silence after a read = %v", got)
	}
}
