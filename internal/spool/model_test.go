package spool_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"kiln/internal/spool"
)

// machine runs any number of shims and one daemon on one exchange, step by
// step in any order. Either side can crash between two steps; a new daemon
// continues some requests by writing their logs anew, and abandons others.
type machine struct {
	dir      string
	exchange *spool.Exchange
	state    *spool.State
	shims    []*shim
	claims   map[string]*answered
}

// shim is one call of the hook.
type shim struct {
	draft   *spool.Draft
	printed bytes.Buffer
	dropped bool
	gone    bool
	// What the shim must get.
	log  string
	code int
}

// answered is a request in the daemon's hands.
type answered struct {
	claim    *spool.Claim
	written  int
	finished bool
}

// TestModel checks that a shim which stays sees its result once, behind the
// whole log, each byte once; and that in the end the exchange is empty.
func TestModel(t *testing.T) {
	top := t.TempDir()
	round := 0
	rapid.Check(t, func(t *rapid.T) {
		round++
		m := newMachine(t, filepath.Join(top, fmt.Sprint(round)))
		t.Repeat(map[string]func(*rapid.T){
			"":              m.check,
			"stage":         m.stage,
			"drop":          m.drop,
			"print":         m.print,
			"cancel":        m.cancel,
			"crash shim":    m.crashShim,
			"scan":          m.scan,
			"write":         m.write,
			"flush":         m.flush,
			"finish":        m.finish,
			"crash daemon":  m.crashDaemon,
			"sweep":         func(t *rapid.T) { must(t, m.exchange.Sweep(0)) },
			"make anew":     func(t *rapid.T) { must(t, m.exchange.Init()) },
			"hostile names": m.intrude,
		})
		m.end(t)
	})
}

// newMachine starts with an empty exchange.
func newMachine(t *rapid.T, dir string) *machine {
	must(t, os.MkdirAll(filepath.Join(dir, "exchange"), 0o777))
	exchange, err := spool.Open(filepath.Join(dir, "exchange"))
	must(t, err)
	must(t, exchange.Init())
	state, err := spool.OpenState(filepath.Join(dir, "state"))
	must(t, err)
	return &machine{dir: dir, exchange: exchange, state: state, claims: map[string]*answered{}}
}

// must ends the run on an error.
func must(t *rapid.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// some draws one of the shims that keep accepts, and skips the step when
// there is none.
func (m *machine) some(t *rapid.T, keep func(*shim) bool) *shim {
	var fit []*shim
	for _, s := range m.shims {
		if !s.gone && keep(s) {
			fit = append(fit, s)
		}
	}
	if len(fit) == 0 {
		t.Skip("no such shim")
	}
	return fit[rapid.IntRange(0, len(fit)-1).Draw(t, "shim")]
}

// held draws one of the requests that the daemon answers.
func (m *machine) held(t *rapid.T) (*shim, *answered) {
	s := m.some(t, func(s *shim) bool {
		a := m.claims[s.draft.ID]
		return a != nil && !a.finished
	})
	return s, m.claims[s.draft.ID]
}

// stage begins a request.
func (m *machine) stage(t *rapid.T) {
	draft, err := m.exchange.NewDraft()
	must(t, err)
	m.shims = append(m.shims, &shim{
		draft: draft,
		log:   rapid.StringMatching(`[a-z\n]{0,40}`).Draw(t, "log"),
		code:  rapid.IntRange(0, 255).Draw(t, "code"),
	})
}

// drop publishes a staged request.
func (m *machine) drop(t *rapid.T) {
	s := m.some(t, func(s *shim) bool { return !s.dropped })
	must(t, s.draft.Drop(spool.Request{Path: s.log}))
	s.dropped = true
}

// print lets a shim look for its result, as it does after every wake.
func (m *machine) print(t *rapid.T) {
	m.look(t, m.some(t, func(s *shim) bool { return s.dropped }))
}

// look prints what there is for s and ends it when that is all.
func (m *machine) look(t *rapid.T, s *shim) {
	result, ok, err := s.draft.Result(&s.printed)
	must(t, err)
	if !ok {
		return
	}
	switch {
	case result.Message != "":
		if result.ExitCode != 1 {
			t.Fatalf("an abandoned request has the exit code %d", result.ExitCode)
		}
	case result.ExitCode != s.code:
		t.Fatalf("exit code %d, want %d", result.ExitCode, s.code)
	case s.printed.String() != s.log:
		t.Fatalf("printed %q, want %q", s.printed.String(), s.log)
	}
	s.draft.Remove()
	s.gone = true
}

// cancel asks for the end of a step.
func (m *machine) cancel(t *rapid.T) {
	must(t, m.some(t, func(s *shim) bool { return s.dropped }).draft.Cancel())
}

// crashShim ends a shim without a word.
func (m *machine) crashShim(t *rapid.T) {
	s := m.some(t, func(*shim) bool { return true })
	s.draft.Crash()
	s.gone = true
}

// scan is the daemon's pass over the exchange.
func (m *machine) scan(t *rapid.T) {
	requests, _, err := m.exchange.Requests()
	must(t, err)
	for _, id := range requests {
		if m.claims[id] == nil {
			m.accept(t, id)
		}
	}
	for id, a := range m.claims {
		if a.claim.Vanished() {
			a.claim.Close()
			delete(m.claims, id)
			must(t, m.state.Forget(id))
			must(t, m.exchange.Clear(id))
		}
	}
	responses, err := m.exchange.Responses()
	must(t, err)
	cancelled, err := m.exchange.Cancelled()
	must(t, err)
	for _, id := range append(responses, cancelled...) {
		if !slices.Contains(requests, id) {
			must(t, m.exchange.Clear(id))
		}
	}
}

// accept claims a request that is new to this run of the daemon. One that an
// earlier run answered is cleared once its shim has gone.
func (m *machine) accept(t *rapid.T, id string) {
	c, err := m.exchange.Claim(id, 1<<20)
	if errors.Is(err, spool.ErrAnswered) {
		if m.exchange.Vanished(id) {
			must(t, m.exchange.Clear(id))
		}
		return
	}
	must(t, err)
	c.Load()
	must(t, c.Bad)
	if err := m.state.Accept(id); !errors.Is(err, os.ErrExist) {
		must(t, err)
	}
	m.claims[id] = &answered{claim: c}
}

// write continues a log.
func (m *machine) write(t *rapid.T) {
	s, a := m.held(t)
	rest := s.log[a.written:]
	n, err := a.claim.Log.Write([]byte(rest[:rapid.IntRange(0, len(rest)).Draw(t, "bytes")]))
	must(t, err)
	a.written += n
}

// flush publishes a log.
func (m *machine) flush(t *rapid.T) {
	_, a := m.held(t)
	must(t, a.claim.Log.Flush())
}

// finish writes the rest of a log and the result.
func (m *machine) finish(t *rapid.T) {
	s, a := m.held(t)
	m.complete(t, s, a)
}

// complete answers s.
func (m *machine) complete(t *rapid.T, s *shim, a *answered) {
	_, err := a.claim.Log.Write([]byte(s.log[a.written:]))
	must(t, err)
	must(t, a.claim.Finish(s.code))
	a.finished = true
}

// crashDaemon ends the daemon and starts another one, which continues some
// requests and abandons the others.
func (m *machine) crashDaemon(t *rapid.T) {
	for _, a := range m.claims {
		a.claim.Close()
	}
	clear(m.claims)
	ids, err := m.state.Accepted()
	must(t, err)
	for _, id := range ids {
		if rapid.Bool().Draw(t, "abandon") {
			must(t, m.exchange.Abandon(id, "lost"))
			must(t, m.state.Forget(id))
		}
	}
}

// intrude puts names beside the requests that are none.
func (m *machine) intrude(t *rapid.T) {
	sub := rapid.SampledFrom([]string{"requests", "cancel", "responses"}).Draw(t, "directory")
	err := os.Symlink("/", filepath.Join(m.dir, "exchange", sub, "intruder"))
	if !errors.Is(err, os.ErrExist) {
		must(t, err)
	}
}

// check holds at any time: a shim has printed a beginning of its log.
func (m *machine) check(t *rapid.T) {
	for _, s := range m.shims {
		if got := s.printed.String(); len(got) > len(s.log) || s.log[:len(got)] != got {
			t.Fatalf("printed %q of %q", got, s.log)
		}
	}
}

// end lets everybody do what is left to do, and looks at what stays.
func (m *machine) end(t *rapid.T) {
	for _, s := range m.shims {
		if !s.gone && !s.dropped {
			s.draft.Remove()
			s.gone = true
		}
	}
	m.scan(t)
	for _, s := range m.shims {
		if a := m.claims[s.draft.ID]; a != nil && !a.finished {
			m.complete(t, s, a)
		}
		if !s.gone {
			m.look(t, s)
		}
		if !s.gone {
			t.Fatalf("request %s has no result", s.draft.ID)
		}
	}
	m.scan(t)
	must(t, m.exchange.Sweep(0))
	for _, sub := range []string{"tmp", "requests", "cancel", "responses"} {
		entries, err := os.ReadDir(filepath.Join(m.dir, "exchange", sub))
		must(t, err)
		for _, entry := range entries {
			if entry.Name() != "intruder" {
				t.Errorf("%s/%s is left", sub, entry.Name())
			}
		}
	}
	must(t, m.exchange.Close())
}
