package podlog

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// begun is when the logs of these tests begin.
var begun = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// running and over are states of a container.
func running() State { return State{Ran: true} }
func over() State    { return State{Ran: true, Over: true} }

// sampleLog has what is easily damaged.
func sampleLog() *logFile {
	f := &logFile{}
	f.write(begun, 300*time.Millisecond, 16,
		[]byte("one\r\n\ntwo \x00\xff\nlonger than one fragment of the runtime\r\rprogress\n::error::x\nno end"))
	return f
}

// all is the whole of a log that grows no more.
func all(f *logFile, since time.Time) []byte { return f.stream(since, len(f.entries)) }

// TestFollowBreaks breaks the first three streams in every way; then the container
// ends.
func TestFollowBreaks(t *testing.T) {
	refused := errors.New("bad gateway")
	reset := errors.New("connection reset")
	half := func(answer []byte) []byte { return answer[:len(answer)/2] }
	for name, broken := range map[string]func(answer []byte) (io.Reader, error){
		"a clean end in a line": func(answer []byte) (io.Reader, error) {
			return bytes.NewReader(answer[:min(45, len(answer))]), nil
		},
		"a clean end of the log": func(answer []byte) (io.Reader, error) { return bytes.NewReader(answer), nil },
		"a reset in a line": func(answer []byte) (io.Reader, error) {
			return io.MultiReader(bytes.NewReader(half(answer)), failing{reset}), nil
		},
		"a reset at once": func([]byte) (io.Reader, error) { return failing{reset}, nil },
		"no stream":       func([]byte) (io.Reader, error) { return nil, refused },
		"a text of the kubelet's": func(answer []byte) (io.Reader, error) {
			return bytes.NewReader(append(bytes.Clone(answer), "failed to create fsnotify watcher: too many open files"...)), nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := sampleLog()
				var c *container
				c = newContainer(running(), func(n int, since time.Time, _ bool) (io.Reader, error) {
					if n == 3 {
						c.ends()
					}
					if n <= 3 {
						return broken(all(f, since))
					}
					return bytes.NewReader(all(f, since)), nil
				})
				if got, err := collect(t.Context(), t, c); err != nil || got != string(f.bytes()) {
					t.Errorf("log = %q, error = %v, want %q", got, err, f.bytes())
				}
			})
		})
	}
}

// TestFollowSilentStreams has streams of an ended container's log end before
// they bring anything. A log that stays silent is empty.
func TestFollowSilentStreams(t *testing.T) {
	whole := string(sampleLog().bytes())
	for name, tt := range map[string]struct {
		silent func(n int) bool
		half   bool // the first stream ends after a line
		want   string
		asked  int
	}{
		"at first":      {func(n int) bool { return n <= 2 }, false, whole, 4},
		"in the middle": {func(n int) bool { return n == 2 || n == 3 }, true, whole, 5},
		"for ever":      {func(int) bool { return true }, false, "", 4},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newContainer(over(), func(n int, since time.Time, _ bool) (io.Reader, error) {
					answer := all(sampleLog(), since)
					switch {
					case tt.silent(n):
						answer = nil
					case tt.half && n == 1:
						answer = answer[:bytes.IndexByte(answer, '\n')+1]
					}
					return bytes.NewReader(answer), nil
				})
				got, err := collect(t.Context(), t, c)
				if err != nil || got != tt.want {
					t.Errorf("log = %q, error = %v, want %q", got, err, tt.want)
				}
				if n := c.requests(); n != tt.asked {
					t.Errorf("it was asked for %d times, want %d", n, tt.asked)
				}
			})
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
	f.write(begun, 20*time.Microsecond, 16<<10, output)
	random := rand.New(rand.NewPCG(1, 2))
	synctest.Test(t, func(t *testing.T) {
		var c *container
		c = newContainer(running(), func(n int, since time.Time, _ bool) (io.Reader, error) {
			answer := all(f, since)
			if n == 10 {
				c.ends()
			}
			if n >= 15 {
				return bytes.NewReader(answer), nil
			}
			cut := bytes.NewReader(answer[:len(answer)*n/15+random.IntN(len(answer)/15)])
			if n%3 == 0 {
				return io.MultiReader(cut, failing{errors.New("reset")}), nil
			}
			return cut, nil
		})
		if got, err := collect(t.Context(), t, c); err != nil || got != string(output) {
			t.Errorf("log of %d bytes came out as %d bytes, error = %v", len(output), len(got), err)
		}
	})
}

// twoFiles is a log that fills one file with a burst, and goes on in the next.
func twoFiles() (f *logFile, first int) {
	f = &logFile{}
	f.write(begun, time.Millisecond, 16<<10, bytes.Repeat(append(bytes.Repeat([]byte("x"), 1023), '\n'), 2*burst>>10))
	first = len(f.entries)
	f.write(begun.Add(time.Minute), time.Millisecond, 16<<10, []byte("in the next file\n"))
	return f, first
}

// TestFollowRotation rotates the file while its stream is silent after a burst. What
// the stream still holds of that file is nowhere else.
func TestFollowRotation(t *testing.T) {
	f, first := twoFiles()
	old := f.stream(time.Time{}, first)
	at := len(old) * 3 / 4
	for name, tt := range map[string]struct {
		// parts is the first stream; the file is rotated once it is open.
		parts []part
		// late is how long each further stream takes to be answered.
		late time.Duration
		// refused is how many of them are refused first.
		refused int
	}{
		"missed by the kubelet":    {parts: []part{{data: old}, {after: forever}}},
		"missed, and a busy node":  {parts: []part{{data: old}, {after: forever}}, late: 12 * time.Second},
		"held up for 12 seconds":   {parts: []part{{data: old[:at]}, {after: 12 * time.Second, data: old[at:]}, {after: forever}}, late: 11 * time.Second},
		"held up, and then broken": {parts: []part{{data: old[:at]}, {after: 12 * time.Second, data: old[at:]}, {err: errors.New("reset")}}, late: 11 * time.Second},
		"held up for a moment":     {parts: []part{{data: old[:at]}, {after: 3500 * time.Millisecond, data: old[at:]}, {after: forever}}},
		"held up twice":            {parts: []part{{data: old[:at]}, {after: 5 * time.Second, data: old[at : at+2048]}, {after: 5 * time.Second, data: old[at+2048:]}, {after: forever}}, late: 4 * time.Second},
		"held up beside refusals":  {parts: []part{{data: old[:at]}, {after: 15 * time.Second, data: old[at:]}, {after: forever}}, refused: 4},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				file := *f
				c := newContainer(running(), func(n int, since time.Time, _ bool) (io.Reader, error) {
					if n == 1 {
						file.rotated = first
						return &script{parts: clone(tt.parts)}, nil
					}
					if n-1 <= tt.refused {
						return nil, errors.New("too many requests")
					}
					if since.IsZero() {
						t.Error("the log was asked for from its beginning again")
					}
					return &script{parts: []part{{after: tt.late, data: all(&file, since)}, {after: time.Second}}}, nil
				})
				time.AfterFunc(5*time.Minute, c.ends)
				got, err := collect(t.Context(), t, c)
				if want := string(file.bytes()); err != nil || strings.ReplaceAll(got, "?", "") != want {
					t.Errorf("log of %d bytes came out as %d bytes, error = %v", len(want), len(got), err)
				}
			})
		})
	}
}

// clone copies a stream's script, which is used up.
func clone(parts []part) []part { return append([]part(nil), parts...) }

// TestFollowDeadConnection: a stream that is dead on one side is replaced, also where
// nothing was read, and one that is not is kept.
func TestFollowDeadConnection(t *testing.T) {
	f := sampleLog()
	for name, read := range map[string]int{"before the first line": 0, "in the log": 3} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				c := newContainer(running(), func(n int, since time.Time, _ bool) (io.Reader, error) {
					if n == 1 {
						return &script{parts: []part{{data: f.stream(time.Time{}, read)}, {after: forever}}}, nil
					}
					return bytes.NewReader(all(f, since)), nil
				})
				time.AfterFunc(10*time.Minute, c.ends)
				var took time.Duration
				err := Follow(t.Context(), c, Position{}, func([]byte, Position) error { took = time.Since(began); return nil })
				if err != nil || took > 2*quiet && took < 10*time.Minute || took == 0 {
					t.Errorf("the last line came after %v, error = %v", took, err)
				}
			})
		})
	}
}

// TestFollowQuietContainer: a container that prints nothing for an hour is not asked
// for more than twice a minute, and not more than two streams are open.
func TestFollowQuietContainer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c *container
		c = newContainer(running(), func(_ int, _ time.Time, follow bool) (io.Reader, error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.opened > 2 {
				t.Errorf("%d streams are open", c.opened)
			}
			line := []byte(stamped(0, "a"))
			if !follow {
				return bytes.NewReader(line), nil
			}
			return &script{parts: []part{{data: line}, {after: forever}}}, nil
		})
		time.AfterFunc(time.Hour, c.ends)
		if got, err := collect(t.Context(), t, c); err != nil || got != "a\n" {
			t.Errorf("log = %q, error = %v", got, err)
		}
		if n := c.requests(); n < 50 || n > 120 {
			t.Errorf("the log was asked for %d times in an hour", n)
		}
	})
}

// TestFollowAsksAtOnce: nothing that is known of the container is waited for.
func TestFollowAsksAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := sampleLog()
		c := newContainer(State{}, func(_ int, since time.Time, _ bool) (io.Reader, error) {
			return bytes.NewReader(all(f, since)), nil
		})
		began := time.Now()
		time.AfterFunc(time.Minute, c.ends)
		var first time.Duration
		var got bytes.Buffer
		err := Follow(t.Context(), c, Position{}, func(p []byte, _ Position) error {
			if got.Len() == 0 {
				first = time.Since(began)
			}
			got.Write(p)
			return nil
		})
		if err != nil || got.String() != string(f.bytes()) || first != 0 {
			t.Errorf("log = %q, error = %v, first after %v", got.String(), err, first)
		}
	})
}

// TestFollowWaitsForStart: a container that has not started, or a pod without a node,
// whose log is empty, is asked for once and then waited for.
func TestFollowWaitsForStart(t *testing.T) {
	for name, early := range map[string]error{"waiting": errors.New("container is waiting to start"), "no node": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := sampleLog()
				c := newContainer(State{}, func(n int, since time.Time, _ bool) (io.Reader, error) {
					if n == 1 {
						return strings.NewReader(""), early
					}
					return bytes.NewReader(all(f, since)), nil
				})
				time.AfterFunc(10*time.Minute, func() {
					if n := c.requests(); n != 1 {
						t.Errorf("the log was asked for %d times before the container ran", n)
					}
					c.ends()
				})
				if got, err := collect(t.Context(), t, c); err != nil || got != string(f.bytes()) {
					t.Errorf("log = %q, error = %v", got, err)
				}
			})
		})
	}
}

// TestFollowNeverRan: what never ran has an empty log.
func TestFollowNeverRan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newContainer(State{Over: true}, func(int, time.Time, bool) (io.Reader, error) { return nil, errors.New("no container") })
		if got, err := collect(t.Context(), t, c); err != nil || got != "" {
			t.Errorf("log = %q, error = %v, want nothing", got, err)
		}
	})
}

// TestFollowRestarted: the log goes on in the file of the container's next run.
func TestFollowRestarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c *container
		c = newContainer(running(), func(n int, _ time.Time, _ bool) (io.Reader, error) {
			switch {
			case n == 1:
				time.AfterFunc(time.Second, func() { c.become(State{}, nil) })
				return strings.NewReader(stamped(0, "first run")), nil
			case n <= 3:
				return nil, errors.New("container is waiting to start")
			}
			c.ends()
			return strings.NewReader(stamped(0.5, "second run")), nil
		})
		if got, err := collect(t.Context(), t, c); err != nil || got != "first run\nsecond run\n" {
			t.Errorf("log = %q, error = %v", got, err)
		}
	})
}

// TestFollowGap: the reader is told where a file was rotated away unread.
func TestFollowGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		line := func(at time.Duration, text string) string {
			return start.Add(at).Format(time.RFC3339Nano) + " " + text + "\n"
		}
		time.Sleep(30 * time.Second) // the node had no time to answer
		c := newContainer(State{Ran: true, Over: true, Begun: start}, func(n int, _ time.Time, _ bool) (io.Reader, error) {
			synctest.Wait() // the state is known
			if n == 1 {
				return strings.NewReader(line(20*time.Second, "a")), nil
			}
			return strings.NewReader(line(25*time.Second, "b")), nil
		})
		if got, err := collect(t.Context(), t, c); err != nil || got != "?a\n?b\n" {
			t.Errorf("log = %q, error = %v", got, err)
		}
	})
}

// TestFollowGivesUp: logs of which the end cannot be read.
func TestFollowGivesUp(t *testing.T) {
	noRoute, gone := errors.New("no route to host"), errors.New("pod is gone")
	line := func(string) (io.Reader, error) { return strings.NewReader(stamped(0, "a")), nil }
	for name, tt := range map[string]struct {
		state State
		open  func(n int) (io.Reader, error)
		lost  error // what the watch ends with after a minute
		want  error
		log   string
		asked int // 0: any number of times
		after time.Duration
	}{
		"an ended container":  {over(), func(int) (io.Reader, error) { return nil, noRoute }, nil, noRoute, "", finalTries + 1, 0},
		"a node out of reach": {running(), func(int) (io.Reader, error) { return nil, noRoute }, nil, noRoute, "", 0, unreachable},
		"a missing right":     {running(), func(int) (io.Reader, error) { return nil, errFinal }, nil, errFinal, "", 2, 0},
		"a pod that goes":     {running(), func(int) (io.Reader, error) { return line("") }, gone, gone, "a\n", 0, time.Minute},
		"a right that was revoked": {running(), func(n int) (io.Reader, error) {
			if n > 2 {
				return nil, errFinal
			}
			return line("")
		}, nil, errFinal, "a\n", 3, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newContainer(tt.state, func(n int, _ time.Time, _ bool) (io.Reader, error) { return tt.open(n) })
				began := time.Now()
				if tt.lost != nil {
					time.AfterFunc(time.Minute, func() { c.become(running(), tt.lost) })
				}
				got, err := collect(t.Context(), t, c)
				incomplete, ok := errors.AsType[*IncompleteError](err)
				if !ok || !errors.Is(incomplete.Cause, tt.want) || got != tt.log {
					t.Errorf("log = %q, error = %v, want %q and %v", got, err, tt.log, tt.want)
				}
				if n := c.requests(); tt.asked > 0 && n != tt.asked {
					t.Errorf("asked %d times, want %d", n, tt.asked)
				}
				if took := time.Since(began); took < tt.after || took > tt.after+15*time.Second {
					t.Errorf("gave up after %v, want %v", took, tt.after)
				}
			})
		})
	}
}

// TestFollowStops: the sink and the context end it at once, whatever it waits for.
func TestFollowStops(t *testing.T) {
	mine := errors.New("mine")
	silent := func(int, time.Time, bool) (io.Reader, error) { return &script{parts: []part{{after: forever}}}, nil }
	line := func(int, time.Time, bool) (io.Reader, error) {
		return &script{parts: []part{{data: []byte(stamped(0, "a"))}, {after: forever}}}, nil
	}
	for name, tt := range map[string]struct {
		state State
		open  func(int, time.Time, bool) (io.Reader, error)
		sink  error
		after time.Duration // when the context ends; 0 is never
		want  error
	}{
		"the sink at first":     {State{}, line, mine, 0, mine},
		"the sink":              {running(), line, mine, 0, mine},
		"before it runs":        {State{}, func(int, time.Time, bool) (io.Reader, error) { return nil, mine }, nil, time.Minute, context.Canceled},
		"while it says nothing": {running(), silent, nil, 150 * time.Second, context.Canceled},
		"between two streams":   {running(), func(int, time.Time, bool) (io.Reader, error) { return nil, mine }, nil, time.Minute, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if tt.after > 0 {
					time.AfterFunc(tt.after, cancel)
				}
				began := time.Now()
				c := newContainer(tt.state, tt.open)
				err := Follow(ctx, c, Position{}, func([]byte, Position) error { return tt.sink })
				if !errors.Is(err, tt.want) || time.Since(began) != tt.after || c.opened != 0 {
					t.Errorf("error = %v after %v with %d open streams, want %v after %v", err, time.Since(began), c.opened, tt.want, tt.after)
				}
			})
		})
	}
}
