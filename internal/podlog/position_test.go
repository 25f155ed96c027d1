package podlog

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// restarted is a reader of a log that is ended at any time and begun again where it had
// come.
type restarted struct {
	lines *lines
	got   []byte
	kept  int // of got, up to the position
	at    Position
	head  int
}

// begin begins the reader, or another that knows of it no more than the position.
func (r *restarted) begin(t rapid.TB) {
	text, err := json.Marshal(r.at)
	if err == nil {
		err = json.Unmarshal(text, &r.at)
	}
	if err != nil {
		t.Fatal(err)
	}
	r.got = r.got[:r.kept]
	r.lines = newLines(func(p []byte, after Position) error {
		r.got = append(r.got, p...)
		if after != (Position{}) {
			r.at, r.kept = after, len(r.got)
		}
		return nil
	})
	r.lines.headMax = r.head
	r.lines.from(r.at)
}

// TestPositions: whatever the points where streams break and readers are begun anew, the
// result is the log.
func TestPositions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawLog(t, rapid.IntRange(0, 30).Draw(t, "lines"))
		r := restarted{head: rapid.SampledFrom([]int{4, 20, 1000}).Draw(t, "head")}
		r.begin(t)
		for range rapid.IntRange(0, 8).Draw(t, "cuts") {
			since, resumed := resume(r.lines)
			stream := f.stream(since, rapid.IntRange(0, len(f.entries)).Draw(t, "written"))
			cut := rapid.IntRange(0, len(stream)).Draw(t, "cut")
			_ = r.lines.read(io.MultiReader(bytes.NewReader(stream[:cut]), failing{errors.New("connection reset")}), resumed)
			if rapid.Bool().Draw(t, "restart") {
				r.begin(t)
			}
		}
		readToEnd(t, f, r.lines)
		if rapid.Bool().Draw(t, "restart at the end") {
			r.begin(t)
			readToEnd(t, f, r.lines)
		}
		if diff := cmp.Diff(string(f.bytes()), string(r.got)); diff != "" {
			t.Fatalf("log differs (-want +got):\n%s", diff)
		}
	})
}

// TestPositionRotated: where the file with the last line was rotated away meanwhile, the
// new one is read from its beginning, with a note that lines may be missing.
func TestPositionRotated(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	f := &logFile{}
	f.write(at, time.Microsecond, 16, []byte("one\ntwo\n"))
	r := restarted{head: headSize}
	r.begin(t)
	if err := r.lines.read(bytes.NewReader(f.stream(time.Time{}, len(f.entries))), false); err != nil {
		t.Fatal(err)
	}
	f.rotated = len(f.entries)
	f.write(at.Add(30*time.Second), time.Microsecond, 16, []byte("three\nfour\n"))
	r.begin(t)
	warned := 0
	sink := r.lines.sink
	r.lines.sink = func(p []byte, after Position) error {
		if p == nil {
			warned++
		}
		return sink(p, after)
	}
	readToEnd(t, f, r.lines)
	if got := string(r.got); got != "one\ntwo\nthree\nfour\n" || warned != 1 {
		t.Errorf("log %q with %d notes, want 1", got, warned)
	}
}
