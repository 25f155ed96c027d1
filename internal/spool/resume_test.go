package spool_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"kiln/internal/spool"
)

// resumption is a daemon that copies numbered items into a step's log, is ended at any
// time and begun again, and a shim that prints the log. The daemon writes lines of its
// own too, which differ from run to run.
type resumption struct {
	exchange *spool.Exchange
	state    *spool.State
	draft    *spool.Draft
	claim    *spool.Claim
	printed  bytes.Buffer
	text     []byte // what a log without restarts would be
	next     int    // the next item
	skip     int64  // of it, published before
	run      int
}

// item is one item of the source.
func item(t rapid.TB, n int) []byte {
	t.Helper()
	size := []int{1, 7, 40, 300, spool.SegmentBytes + 9}[n%5]
	return append(fmt.Appendf(nil, "<%d", n), append(bytes.Repeat([]byte("x"), size), ">\n"...)...)
}

// TestResume: whenever the daemon is ended, the shim prints each item once, in order, and
// each line of the daemon's own that was published.
func TestResume(t *testing.T) {
	top := t.TempDir()
	round := 0
	rapid.Check(t, func(t *rapid.T) {
		round++
		r := newResumption(t, filepath.Join(top, fmt.Sprint(round)))
		t.Repeat(map[string]func(*rapid.T){
			"": r.check, "copy": r.copy, "say": r.say, "flush": r.flush, "print": r.print, "restart": r.restart,
		})
		must(t, r.claim.Finish(7))
		result, ok, err := r.draft.Result(&r.printed)
		if err != nil || !ok || result.ExitCode != 7 || result.LogBytes != int64(len(r.text)) {
			t.Fatalf("result %v, %v, %v; want a log of %d bytes", result, ok, err, len(r.text))
		}
		r.check(t)
		r.claim.Close()
		r.draft.Remove()
	})
}

// newResumption drops a request and claims it.
func newResumption(t *rapid.T, dir string) *resumption {
	must(t, os.MkdirAll(filepath.Join(dir, "exchange"), 0o777))
	exchange, err := spool.Open(filepath.Join(dir, "exchange"))
	must(t, err)
	must(t, exchange.Init())
	state, err := spool.OpenState(filepath.Join(dir, "state"))
	must(t, err)
	draft, err := exchange.NewDraft()
	must(t, err)
	must(t, draft.Drop(spool.Request{}))
	r := &resumption{exchange: exchange, state: state, draft: draft}
	r.claim, err = exchange.Claim(draft.ID, 1<<30)
	must(t, err)
	must(t, state.Accept(draft.ID))
	r.claim.Keep(state.Journal(draft.ID))
	return r
}

// copy copies the next item, in one or in two writes.
func (r *resumption) copy(t *rapid.T) {
	data := item(t, r.next)[r.skip:]
	r.next, r.skip = r.next+1, 0
	r.text = append(r.text, data...)
	if cut := rapid.IntRange(0, len(data)-1).Draw(t, "cut"); rapid.Bool().Draw(t, "pieces") {
		_, err := r.claim.Log.WriteMarked(data[:cut], nil)
		must(t, err)
		data = data[cut:]
	}
	_, err := r.claim.Log.WriteMarked(data, r.next)
	must(t, err)
}

// say writes a line of the run's own between two items.
func (r *resumption) say(t *rapid.T) {
	if r.skip > 0 {
		t.Skip("within an item")
	}
	line := fmt.Appendf(nil, "run %d\n", r.run)
	r.text = append(r.text, line...)
	_, err := r.claim.Log.Write(line)
	must(t, err)
}

func (r *resumption) flush(t *rapid.T) { must(t, r.claim.Log.Flush()) }

func (r *resumption) print(t *rapid.T) { must(t, r.draft.Print(&r.printed)) }

// restart ends the run without a warning and begins another.
func (r *resumption) restart(t *rapid.T) {
	r.claim.Close()
	_ = r.claim.Log.Bytes() // what is being published ends first, as it does with a process
	r.run++
	var err error
	r.claim, err = r.exchange.Resume(r.draft.ID, 1<<30, r.state.Journal(r.draft.ID))
	must(t, err)
	r.next = 0
	if r.claim.Mark != nil {
		must(t, json.Unmarshal(r.claim.Mark, &r.next))
	}
	r.skip = r.claim.Behind
	if r.claim.Log.Bytes() > int64(len(r.text)) {
		t.Fatalf("the log has %d bytes, %d were written", r.claim.Log.Bytes(), len(r.text))
	}
	r.text = r.text[:r.claim.Log.Bytes()]
	if open := len(r.text) > 0 && r.text[len(r.text)-1] != '\n'; r.claim.Open != open || !r.claim.Resumed {
		t.Fatalf("Open = %v, Resumed = %v, want %v", r.claim.Open, r.claim.Resumed, open)
	}
}

// check holds at any time: the shim has printed a beginning of the text, and the text has
// each item once.
func (r *resumption) check(t *rapid.T) {
	if !bytes.HasPrefix(r.text, r.printed.Bytes()) {
		t.Fatalf("printed %d bytes that are not those of the log", r.printed.Len())
	}
	text := string(r.text)
	for n := range r.next {
		if strings.Count(text, string(item(t, n))) != 1 {
			t.Fatalf("item %d is not there once after run %d", n, r.run)
		}
	}
}

// TestResumeAnswered leaves a request alone that has its result, and makes a new answer
// where an earlier run had begun none.
func TestResumeAnswered(t *testing.T) {
	dir := exchangeDir(t)
	exchange := open(t, dir)
	state, err := spool.OpenState(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	draft := drop(t, exchange, "")
	if err := state.Accept(draft.ID); err != nil {
		t.Fatal(err)
	}
	for want := range 2 {
		c, err := exchange.Resume(draft.ID, 1<<20, state.Journal(draft.ID))
		if want == 1 {
			if !errors.Is(err, spool.ErrAnswered) {
				t.Errorf("Resume = %v, want %v", err, spool.ErrAnswered)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Finish(0); err != nil {
			t.Error(err)
		}
		c.Close()
	}
}

// TestStateKeeps keeps values for a request until it is forgotten, for nobody else's eyes.
func TestStateKeeps(t *testing.T) {
	dir := t.TempDir()
	state, err := spool.OpenState(dir)
	if err != nil {
		t.Fatal(err)
	}
	id := spool.NewID()
	if err := state.Accept(id); err != nil {
		t.Fatal(err)
	}
	var got spool.Request
	if found, err := state.Load(id, "asked", &got); found || err != nil {
		t.Errorf("Load = %v, %v before anything is kept", found, err)
	}
	for _, path := range []string{"a", "b"} {
		if err := state.Save(id, "asked", spool.Request{Path: path}); err != nil {
			t.Fatal(err)
		}
	}
	if found, err := state.Load(id, "asked", &got); !found || err != nil || got.Path != "b" {
		t.Errorf("Load = %v, %v, %q, want b", found, err, got.Path)
	}
	info, err := os.Stat(filepath.Join(dir, id, "asked.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(filepath.Join(dir, id, "asked.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := state.Load(id, "asked", &got); err == nil {
		t.Error("Load has no error for what is no JSON")
	}
	if err := state.Forget(id); err != nil {
		t.Fatal(err)
	}
	if found, err := state.Load(id, "asked", &got); found || err != nil {
		t.Errorf("Load = %v, %v of what was forgotten", found, err)
	}
}
