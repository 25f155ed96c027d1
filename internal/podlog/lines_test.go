package podlog

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// drawLog makes a log whose times mostly rise, stand still at times, and step
// back a little where a line begins, as two output streams make them. Lines are
// cut in fragments and hold any byte.
func drawLog(t *rapid.T, lines int) *logFile {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	steps := rapid.SampledFrom([]time.Duration{0, 1, time.Microsecond, time.Millisecond, 400 * time.Millisecond, 1700 * time.Millisecond, -time.Microsecond})
	content := rapid.SliceOfN(rapid.SampledFrom([]byte{'a', 'b', '\r', 0, 0xff, ' ', ':'}), 0, 40)
	f := &logFile{}
	for i := range lines {
		begun := len(f.entries)
		f.write(at, time.Microsecond, 16, append(content.Draw(t, "line"), '\n'))
		if i == lines-1 && rapid.Bool().Draw(t, "unterminated") {
			trimEnd(f)
		}
		if len(f.entries) > begun {
			at = f.entries[len(f.entries)-1].at
		}
		at = at.Add(steps.Draw(t, "step"))
	}
	return f
}

// trimEnd takes the last line feed away.
func trimEnd(f *logFile) {
	last := &f.entries[len(f.entries)-1]
	if last.data = last.data[:len(last.data)-1]; len(last.data) == 0 {
		f.entries = f.entries[:len(f.entries)-1]
	}
}

// TestLinesAnyCuts: whatever the points where streams break, the result is the
// log.
func TestLinesAnyCuts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawLog(t, rapid.IntRange(0, 30).Draw(t, "lines"))
		var got bytes.Buffer
		l := newLines(func(p []byte, _ Position) error { got.Write(p); return nil })
		l.headMax = rapid.SampledFrom([]int{4, 20, 1000}).Draw(t, "head")
		for range rapid.IntRange(0, 8).Draw(t, "cuts") {
			since, resumed := resume(l)
			stream := f.stream(since, rapid.IntRange(0, len(f.entries)).Draw(t, "written"))
			cut := rapid.IntRange(0, len(stream)).Draw(t, "cut")
			end := io.EOF
			if rapid.Bool().Draw(t, "reset") {
				end = errors.New("connection reset")
			}
			_ = l.read(io.MultiReader(bytes.NewReader(stream[:cut]), failing{end}), resumed)
		}
		readToEnd(t, f, l)
		if diff := cmp.Diff(string(f.bytes()), got.String()); diff != "" {
			t.Fatalf("log differs (-want +got):\n%s", diff)
		}
	})
}

// TestLinesRotation: a rotation between two streams, also inside a line, loses and
// doubles nothing if what was rotated away had been read.
func TestLinesRotation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawLog(t, rapid.IntRange(1, 30).Draw(t, "lines"))
		distinctTimes(f)
		var got bytes.Buffer
		l := newLines(func(p []byte, _ Position) error { got.Write(p); return nil })
		l.headMax = rapid.SampledFrom([]int{4, 20, 1000}).Draw(t, "head")
		read := 0
		for range rapid.IntRange(0, 6).Draw(t, "rotations") {
			read = rapid.IntRange(read, len(f.entries)).Draw(t, "read")
			since, resumed := resume(l)
			_ = l.read(bytes.NewReader(f.stream(since, read)), resumed)
			f.rotated = splittable(f, rapid.IntRange(f.rotated, read).Draw(t, "rotated"), read, l.headMax < 1000)
		}
		readToEnd(t, f, l)
		if diff := cmp.Diff(string(f.bytes()), got.String()); diff != "" {
			t.Fatalf("log differs (-want +got):\n%s", diff)
		}
	})
}

// splittable moves a rotation point forward to the end of its line where the rest
// of the line cannot be told from a new one: that line is the last that was read
// whole, or its rest is too long to be held back.
func splittable(f *logFile, rotated, read int, tooLong bool) int {
	ends := func(i int) bool { return bytes.HasSuffix(f.entries[i].data, []byte{'\n'}) }
	if rotated == 0 || ends(rotated-1) {
		return rotated
	}
	end := rotated
	for end < read && !ends(end) {
		end++
	}
	for next := end + 1; next < read; next++ {
		if ends(next) && !tooLong {
			return rotated
		}
	}
	return min(end+1, read)
}

// distinctTimes lets every entry have its own time: after a rotation equal lines
// of equal times cannot be told apart.
func distinctTimes(f *logFile) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i := range f.entries {
		at = at.Add(time.Duration(1 + i%7*int(300*time.Millisecond)))
		f.entries[i].at = at
	}
}

// resume is how the next stream is asked for.
func resume(l *lines) (since time.Time, resumed bool) {
	since = sinceOf(l.last)
	return since, !since.IsZero()
}

// readToEnd does what Follow does with an ended container.
func readToEnd(t rapid.TB, f *logFile, l *lines) {
	for range 3 {
		since, resumed := resume(l)
		l.progress = false
		if err := l.read(bytes.NewReader(f.stream(since, len(f.entries))), resumed); err != nil {
			t.Fatalf("last read: %v", err)
		}
		if !l.progress {
			if err := l.finish(); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatal("a complete log keeps bringing something new")
}

// failing is a reader that ends with an error.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestLinesForeignText(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	f := &logFile{}
	f.write(start, time.Millisecond, 16<<10, []byte("one\ntwo\nunfinished"))
	for name, appended := range map[string]string{
		"after a line": string(f.stream(time.Time{}, 2)) + "failed to create fsnotify watcher: too many open files",
		"in a line":    string(f.stream(time.Time{}, 3)) + "failed to create fsnotify watcher: too many open files",
		"in a stamp":   string(f.stream(time.Time{}, 2)) + "2026-01-02T03",
	} {
		t.Run(name, func(t *testing.T) {
			var got bytes.Buffer
			l := newLines(func(p []byte, _ Position) error { got.Write(p); return nil })
			err := l.read(bytes.NewReader([]byte(appended)), false)
			if name != "in a line" && !errors.Is(err, errCut) {
				t.Errorf("read error = %v, want errCut", err)
			}
			readToEnd(t, f, l)
			if got, want := got.String(), "one\ntwo\nunfinished"; got != want {
				t.Errorf("log = %q, want %q", got, want)
			}
		})
	}
}

func TestLinesPieces(t *testing.T) {
	long := append(bytes.Repeat([]byte("x\x00\r"), headSize), '\n')
	f := &logFile{}
	f.write(time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), time.Microsecond, 16<<10, append([]byte("short\n"), long...))
	var ends []bool
	var got bytes.Buffer
	l := newLines(func(p []byte, _ Position) error {
		ends = append(ends, p[len(p)-1] == '\n')
		got.Write(p)
		return nil
	})
	if err := l.read(bytes.NewReader(f.stream(time.Time{}, len(f.entries))), false); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), f.bytes()) {
		t.Errorf("a line of %d bytes came out as %d bytes", len(long), got.Len())
	}
	for i, end := range ends {
		if want := i == 0 || i == len(ends)-1; end != want {
			t.Errorf("piece %d of %d ends a line: %v, want %v", i, len(ends), end, want)
		}
	}
}

func TestHistoryForgets(t *testing.T) {
	h := history{}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i := range 100_000 {
		h.add(entryOf(at.Add(time.Duration(i)*time.Millisecond), nil))
	}
	if got, most := len(h.entries), int(2*kept/time.Millisecond)+2; got > most {
		t.Errorf("history holds %d lines, want at most %d", got, most)
	}
}

func BenchmarkLines(b *testing.B) {
	f := &logFile{}
	f.write(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), 2*time.Microsecond, 16<<10, bytes.Repeat([]byte("a usual line of a build log, so long\n"), 100_000))
	stream := f.stream(time.Time{}, len(f.entries))
	b.SetBytes(int64(len(stream)))
	for b.Loop() {
		l := newLines(func([]byte, Position) error { return nil })
		if err := l.read(bytes.NewReader(stream), false); err != nil {
			b.Fatal(err)
		}
	}
}
