package spool_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kiln/internal/spool"
)

// newLog starts a log in a directory of its own.
func newLog(t testing.TB, limit int64) (log *spool.Log, dir string) {
	t.Helper()
	dir = t.TempDir()
	log, root, err := spool.NewLog(dir, limit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Stop(); _ = root.Close() })
	return log, dir
}

// segments returns the sizes of the segments in dir by name.
func segments(t testing.TB, dir string) map[string]int {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	sizes := map[string]int{}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		sizes[entry.Name()] = int(info.Size())
	}
	return sizes
}

// write writes text to log.
func write(t testing.TB, log *spool.Log, text string) {
	t.Helper()
	if n, err := io.WriteString(log, text); err != nil || n != len(text) {
		t.Fatalf("Write = %d, %v, want %d", n, err, len(text))
	}
}

// TestLogSegments cuts a long write into segments that follow each other.
func TestLogSegments(t *testing.T) {
	log, dir := newLog(t, 1<<30)
	size := 2*spool.SegmentBytes + 17
	write(t, log, strings.Repeat("x", size))
	if err := log.Flush(); err != nil {
		t.Fatal(err)
	}
	want := map[string]int{
		"00000000000000000000.log": spool.SegmentBytes,
		"00000000000000262144.log": spool.SegmentBytes,
		"00000000000000524288.log": 17,
	}
	got := segments(t, dir)
	for name, size := range want {
		if got[name] != size {
			t.Errorf("%s has %d bytes, want %d", name, got[name], size)
		}
	}
	if len(got) != len(want) || log.Bytes() != int64(size) {
		t.Errorf("segments %v and %d bytes", got, log.Bytes())
	}
}

// TestLogDelay publishes a lone byte soon, and not at once.
func TestLogDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, dir := newLog(t, 1<<20)
		write(t, log, "a")
		time.Sleep(24 * time.Millisecond)
		write(t, log, "b")
		if got := segments(t, dir); len(got) > 0 {
			t.Errorf("published early: %v", got)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if got := segments(t, dir)[spool.SegmentName(0)]; got != 2 {
			t.Errorf("published %d bytes, want 2", got)
		}
	})
}

// TestLogBacklog blocks a writer while more than the limit waits, whether it
// writes much or little at a time, and lets it go on.
func TestLogBacklog(t *testing.T) {
	for name, piece := range map[string]int{"fast": spool.SegmentBytes, "slow": 100} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				limit := int64(4 * piece)
				log, dir := newLog(t, limit)
				written := 0
				done := make(chan struct{})
				go func() {
					defer close(done)
					for range 20 {
						if _, err := log.Write(make([]byte, piece)); err != nil {
							t.Error(err)
							return
						}
						written += piece
						time.Sleep(30 * time.Millisecond)
					}
				}()
				time.Sleep(time.Minute)
				synctest.Wait()
				sum := 0
				for _, size := range segments(t, dir) {
					sum += size
				}
				if sum != int(limit)+piece {
					t.Errorf("%d bytes wait, want %d and one segment", sum, limit)
				}
				for offset := 0; offset < 20*piece; offset += piece {
					if err := os.Remove(filepath.Join(dir, spool.SegmentName(int64(offset)))); err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Second)
				}
				<-done
				if written != 20*piece {
					t.Errorf("%d bytes written, want %d", written, 20*piece)
				}
			})
		})
	}
}

// TestLogStop frees the writer that waits and refuses later ones.
func TestLogStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, _ := newLog(t, 0)
		write(t, log, strings.Repeat("x", spool.SegmentBytes))
		freed := make(chan error, 2)
		for range 2 {
			go func() {
				_, err := log.Write([]byte("y"))
				freed <- err
			}()
		}
		time.Sleep(time.Minute)
		if len(freed) > 0 {
			t.Error("a writer does not wait")
		}
		log.Stop()
		log.Stop()
		for range 2 {
			if err := <-freed; !errors.Is(err, spool.ErrLogStopped) {
				t.Errorf("freed with %v", err)
			}
		}
		if _, err := log.Write([]byte("z")); !errors.Is(err, spool.ErrLogStopped) {
			t.Errorf("Write after Stop = %v", err)
		}
	})
}

// TestLogManySegments has a shim that prints nothing for a while: a slow log
// is not to fill the directory with names, and is whole in the end.
func TestLogManySegments(t *testing.T) {
	dir := exchangeDir(t)
	exchange := open(t, dir)
	draft := drop(t, exchange, "")
	synctest.Test(t, func(t *testing.T) {
		log, root, err := spool.NewLog(responseDir(t, exchange, draft), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		defer log.Stop()
		var want bytes.Buffer
		for i := range 3 * spool.MaxWaiting {
			line := fmt.Sprintf("line %d\n", i)
			want.WriteString(line)
			write(t, log, line)
			time.Sleep(50 * time.Millisecond)
		}
		if got := log.Waiting(); got != spool.MaxWaiting {
			t.Errorf("%d segments wait, want %d", got, spool.MaxWaiting)
		}
		var printed bytes.Buffer
		for range 2 {
			if err := draft.Print(&printed); err != nil {
				t.Fatal(err)
			}
			time.Sleep(50 * time.Millisecond)
			synctest.Wait()
		}
		if printed.String() != want.String() {
			t.Errorf("printed %d bytes of %d", printed.Len(), want.Len())
		}
	})
}

// responseDir makes the directory of draft's answer.
func responseDir(t testing.TB, exchange *spool.Exchange, draft *spool.Draft) string {
	t.Helper()
	dir := exchange.ResponseDir(draft.ID)
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestLogConcurrent has many writers, a small backlog and a printer: no line
// is lost, doubled, torn or out of its writer's order.
func TestLogConcurrent(t *testing.T) {
	exchange := open(t, exchangeDir(t))
	draft := drop(t, exchange, "")
	c, err := exchange.Claim(draft.ID, 64<<10)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()

	const writers, each = 8, 100
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 1))
			for i := range each {
				size := random.IntN(2000)
				if i == 50 {
					size = spool.SegmentBytes + 1000 // one line is longer than a segment
				}
				if _, err := fmt.Fprintf(c.Log, "%d %d %s\n", w, i, strings.Repeat("x", size)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	go func() {
		group.Wait()
		if err := c.Finish(0); err != nil {
			t.Error(err)
		}
	}()
	var printed bytes.Buffer
	if _, err := await(t.Context(), exchange, draft, &printed); err != nil {
		t.Fatal(err)
	}

	var seen [writers]int
	for line := range strings.Lines(printed.String()) {
		var w, i int
		var rest string
		if n, _ := fmt.Sscanf(line, "%d %d %s", &w, &i, &rest); n < 2 || strings.Trim(rest, "x") != "" {
			t.Fatalf("torn line %.60q", line)
		}
		if i != seen[w] {
			t.Fatalf("writer %d: line %d after %d", w, i, seen[w]-1)
		}
		seen[w]++
	}
	for w, n := range seen {
		if n != each {
			t.Errorf("writer %d: %d lines of %d", w, n, each)
		}
	}
}

// TestPrint prints segments that were put there by hand, in rounds: as a
// daemon would that was restarted in between.
func TestPrint(t *testing.T) {
	type round map[int]string
	for name, test := range map[string]struct {
		rounds []round
		want   string
		err    string
	}{
		"in order":          {rounds: []round{{0: "abc", 3: "def"}, {6: "ghi"}}, want: "abcdefghi"},
		"same again":        {rounds: []round{{0: "abc", 3: "def"}, {0: "abc", 3: "def"}}, want: "abcdef"},
		"longer again":      {rounds: []round{{0: "abc", 3: "def"}, {0: "abcdefgh"}}, want: "abcdefgh"},
		"cut otherwise":     {rounds: []round{{0: "ab", 2: "cd"}, {0: "a", 1: "bcde", 5: "fg"}}, want: "abcdefg"},
		"overlap in one":    {rounds: []round{{0: "abcd", 2: "cdef", 3: "def"}}, want: "abcdef"},
		"shorter again":     {rounds: []round{{0: "abcdef"}, {0: "ab"}, {6: "g"}}, want: "abcdefg"},
		"empty segment":     {rounds: []round{{0: "", 5: "x"}}, err: "misses the bytes 0 to 5"},
		"gap":               {rounds: []round{{0: "abc", 5: "x"}}, want: "abc", err: "misses the bytes 3 to 5"},
		"gap at the start":  {rounds: []round{{1: "x"}}, err: "misses the bytes 0 to 1"},
		"gap in next round": {rounds: []round{{0: "abc"}, {4: "x"}}, want: "abc", err: "misses the bytes 3 to 4"},
	} {
		t.Run(name, func(t *testing.T) {
			exchange := open(t, exchangeDir(t))
			draft := drop(t, exchange, "")
			dir := responseDir(t, exchange, draft)
			for _, name := range []string{"x.log", ".hidden", "-0000000000000000001.log", "+0000000000000000001.log", "99999999999999999999.log"} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte("foreign"), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			var printed bytes.Buffer
			var err error
			for _, round := range test.rounds {
				for offset, text := range round {
					putSegment(t, dir, offset, text)
				}
				err = draft.Print(&printed)
			}
			if printed.String() != test.want {
				t.Errorf("printed %q, want %q", printed.String(), test.want)
			}
			if (err != nil) != (test.err != "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("err = %v, want %q", err, test.err)
			}
			if got := segments(t, dir); err == nil && len(got) != 5 {
				t.Errorf("segments stay: %v", got)
			}
		})
	}
}

// putSegment writes a segment.
func putSegment(t testing.TB, dir string, offset int, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, spool.SegmentName(int64(offset))), []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

// writerFunc is a writer.
type writerFunc func(p []byte) (int, error)

// Write calls f.
func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestPrintLateSegment shows a scan the segment after one that it missed.
func TestPrintLateSegment(t *testing.T) {
	exchange := open(t, exchangeDir(t))
	draft := drop(t, exchange, "")
	dir := responseDir(t, exchange, draft)
	putSegment(t, dir, 0, "a")
	putSegment(t, dir, 2, "c")
	putSegment(t, dir, 4, "e")
	var printed bytes.Buffer
	w := writerFunc(func(p []byte) (int, error) {
		switch string(p) {
		case "a":
			putSegment(t, dir, 1, "b")
		case "c":
			putSegment(t, dir, 3, "d")
		}
		return printed.Write(p)
	})
	if err := draft.Print(w); err != nil || printed.String() != "abcde" {
		t.Errorf("Print = %v, printed %q", err, printed.String())
	}
}

// TestPrintError keeps what could not be printed and continues behind what
// could.
func TestPrintError(t *testing.T) {
	exchange := open(t, exchangeDir(t))
	draft := drop(t, exchange, "")
	putSegment(t, responseDir(t, exchange, draft), 0, "abc")
	broken := errors.New("broken pipe")
	w := writerFunc(func([]byte) (int, error) { return 1, broken })
	if err := draft.Print(w); !errors.Is(err, broken) {
		t.Errorf("Print = %v, want %v", err, broken)
	}
	var printed bytes.Buffer
	if err := draft.Print(&printed); err != nil || printed.String() != "bc" {
		t.Errorf("Print = %v, printed %q, want bc", err, printed.String())
	}
}

// TestResultWithoutLog reports a log that is shorter than the result says.
func TestResultWithoutLog(t *testing.T) {
	exchange := open(t, exchangeDir(t))
	draft := drop(t, exchange, "")
	c := claim(t, exchange, draft.ID)
	write(t, c.Log, "text")
	if err := c.Finish(0); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(exchange.ResponseDir(draft.ID), spool.SegmentName(0))); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := draft.Result(io.Discard); ok || err == nil || !strings.Contains(err.Error(), "ends after 0 of 4 bytes") {
		t.Errorf("Result = %v, %v", ok, err)
	}
}

// BenchmarkLog carries a log through the exchange: daemon, disk and shim.
func BenchmarkLog(b *testing.B) {
	for name, size := range map[string]int{"lines": 80, "blocks": 32 << 10} {
		b.Run(name, func(b *testing.B) {
			exchange := open(b, exchangeDir(b))
			draft := drop(b, exchange, "")
			c, err := exchange.Claim(draft.ID, 64<<20)
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			b.SetBytes(int64(size))
			b.ReportAllocs()
			line := bytes.Repeat([]byte("x"), size)
			done := make(chan error, 1)
			go func() {
				_, err := await(b.Context(), exchange, draft, io.Discard)
				done <- err
			}()
			for b.Loop() {
				if _, err := c.Log.Write(line); err != nil {
					b.Fatal(err)
				}
			}
			if err := c.Finish(0); err != nil {
				b.Fatal(err)
			}
			if err := <-done; err != nil {
				b.Fatal(err)
			}
		})
	}
}
