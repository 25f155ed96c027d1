package spool_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kiln/internal/spool"
)

// TestVanishedShim kills a shim: its lock is free at once, and all that it
// left can be cleared.
func TestVanishedShim(t *testing.T) {
	dir := exchangeDir(t)
	exchange := open(t, dir)
	shim := start(t, "hold", dir, nil)
	id := shim.line(t)
	c := claim(t, exchange, id)
	if c.Bad != nil || c.Vanished() || exchange.Vanished(id) {
		t.Fatalf("Bad = %v, Vanished() = %v, %v while the shim lives", c.Bad, c.Vanished(), exchange.Vanished(id))
	}
	shim.kill(t)
	if !c.Vanished() || !exchange.Vanished(id) {
		t.Errorf("Vanished() = %v, %v after the shim's death", c.Vanished(), exchange.Vanished(id))
	}
	if err := exchange.Clear(id); err != nil {
		t.Fatal(err)
	}
	if paths := left(t, dir); len(paths) > 0 {
		t.Errorf("left behind: %v", paths)
	}
}

// TestDaemonLock shows a shim whether the daemon lives, and a daemon that
// another one does.
func TestDaemonLock(t *testing.T) {
	dir := exchangeDir(t)
	exchange := open(t, dir)
	if exchange.DaemonAlive() {
		t.Error("DaemonAlive() = true before there is one")
	}
	daemon := start(t, "lock", dir, nil)
	daemon.line(t)
	if !exchange.DaemonAlive() {
		t.Error("DaemonAlive() = false")
	}
	if _, err := exchange.LockDaemon(); !errors.Is(err, spool.ErrLocked) {
		t.Errorf("LockDaemon = %v, want %v", err, spool.ErrLocked)
	}
	daemon.kill(t)
	if exchange.DaemonAlive() {
		t.Error("DaemonAlive() = true after the daemon's death")
	}
	lock, err := exchange.LockDaemon()
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	if exchange.DaemonAlive() {
		t.Error("DaemonAlive() = true after Release")
	}
}

// TestDaemonLockIntruders puts things in the lock's place: nobody hangs, and
// the daemon is told.
func TestDaemonLockIntruders(t *testing.T) {
	for kind, place := range intruders() {
		t.Run(kind, func(t *testing.T) {
			dir := exchangeDir(t)
			exchange := open(t, dir)
			place(t, filepath.Join(dir, "daemon.lock"))
			if exchange.DaemonAlive() {
				t.Error("DaemonAlive() = true")
			}
			if lock, err := exchange.LockDaemon(); err == nil && kind != "hard link" {
				t.Errorf("LockDaemon takes a %s", kind)
				_ = lock.Release()
			} else if err == nil {
				_ = lock.Release()
			}
		})
	}
}

// TestRequestTakenAway tells a shim that its request has gone.
func TestRequestTakenAway(t *testing.T) {
	dir := exchangeDir(t)
	exchange := open(t, dir)
	draft := drop(t, exchange, "")
	if err := os.RemoveAll(filepath.Join(dir, "requests", draft.ID)); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := draft.Result(io.Discard); ok || err == nil || !strings.Contains(err.Error(), "removed") {
		t.Errorf("Result = %v, %v", ok, err)
	}
}

// TestAbandon answers what an earlier run of the daemon left, in each state.
func TestAbandon(t *testing.T) {
	for name, test := range map[string]struct {
		before  func(t *testing.T, e *spool.Exchange, id string)
		want    spool.Result
		printed string
	}{
		"dropped": {
			before: func(*testing.T, *spool.Exchange, string) {},
			want:   spool.Result{Version: 1, ExitCode: 1, Message: "lost"},
		},
		"claimed": {
			before: func(t *testing.T, e *spool.Exchange, id string) { claim(t, e, id).Close() },
			want:   spool.Result{Version: 1, ExitCode: 1, Message: "lost"},
		},
		"logging": {
			before: func(t *testing.T, e *spool.Exchange, id string) {
				c := claim(t, e, id)
				write(t, c.Log, "so far")
				if err := c.Log.Flush(); err != nil {
					t.Fatal(err)
				}
				c.Close()
			},
			want:    spool.Result{Version: 1, ExitCode: 1, Message: "lost"},
			printed: "so far",
		},
		"answered": {
			before: func(t *testing.T, e *spool.Exchange, id string) {
				c := claim(t, e, id)
				write(t, c.Log, "all")
				if err := c.Finish(0); err != nil {
					t.Fatal(err)
				}
				c.Close()
			},
			want:    spool.Result{Version: 1, LogBytes: 3},
			printed: "all",
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := exchangeDir(t)
			exchange := open(t, dir)
			draft := drop(t, exchange, "")
			test.before(t, exchange, draft.ID)
			for range 2 {
				if err := exchange.Abandon(draft.ID, "lost"); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := exchange.Claim(draft.ID, 1); !errors.Is(err, spool.ErrAnswered) {
				t.Errorf("Claim = %v, want %v", err, spool.ErrAnswered)
			}
			var printed bytes.Buffer
			result, ok, err := draft.Result(&printed)
			if !ok || err != nil {
				t.Fatalf("Result = %v, %v", ok, err)
			}
			if diff := cmp.Diff(test.want, result); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
			if printed.String() != test.printed {
				t.Errorf("printed %q, want %q", printed.String(), test.printed)
			}
			draft.Remove()
			if err := exchange.Clear(draft.ID); err != nil || len(left(t, dir)) > 0 {
				t.Errorf("Clear = %v, left %v", err, left(t, dir))
			}
		})
	}
}

// TestClaimAgain claims after a restart and writes the log anew: the shim
// prints what it has not printed.
func TestClaimAgain(t *testing.T) {
	exchange := open(t, exchangeDir(t))
	draft := drop(t, exchange, "")
	first := claim(t, exchange, draft.ID)
	write(t, first.Log, "one two ")
	if err := first.Log.Flush(); err != nil {
		t.Fatal(err)
	}
	var printed bytes.Buffer
	if err := draft.Print(&printed); err != nil {
		t.Fatal(err)
	}
	first.Close()
	second := claim(t, exchange, draft.ID)
	write(t, second.Log, "one ")
	if err := second.Log.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := draft.Print(&printed); err != nil {
		t.Fatal(err)
	}
	write(t, second.Log, "two three")
	if err := second.Finish(0); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := draft.Result(&printed); !ok || err != nil {
		t.Fatalf("Result = %v, %v", ok, err)
	}
	if printed.String() != "one two three" {
		t.Errorf("printed %q", printed.String())
	}
}

// TestFinishStopped writes no result for nobody.
func TestFinishStopped(t *testing.T) {
	exchange := open(t, exchangeDir(t))
	c := claim(t, exchange, drop(t, exchange, "").ID)
	c.Log.Stop()
	if _, err := c.Log.Write([]byte("x")); !errors.Is(err, spool.ErrLogStopped) {
		t.Fatalf("Write = %v", err)
	}
	if err := c.Finish(0); !errors.Is(err, spool.ErrLogStopped) {
		t.Errorf("Finish = %v, want %v", err, spool.ErrLogStopped)
	}
}

// TestSweep removes the drafts of vanished shims and no others.
func TestSweep(t *testing.T) {
	dir := exchangeDir(t)
	exchange := open(t, dir)
	held, err := exchange.NewDraft()
	if err != nil {
		t.Fatal(err)
	}
	defer held.Remove()
	crashed, err := exchange.NewDraft()
	if err != nil {
		t.Fatal(err)
	}
	crashed.Crash()
	live := drop(t, exchange, "")
	tmp := filepath.Join(dir, "tmp")
	for name, target := range map[string]string{"link": "../requests/" + live.ID, "outside": "/etc"} {
		if err := os.Symlink(target, filepath.Join(tmp, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(tmp, "file"), nil, 0o666); err != nil {
		t.Fatal(err)
	}

	if err := exchange.Sweep(time.Hour); err != nil {
		t.Fatal(err)
	}
	if got := len(segments(t, tmp)); got != 5 {
		t.Errorf("%d names stay below tmp, want all 5: they are new", got)
	}
	if err := exchange.Sweep(0); err != nil {
		t.Fatal(err)
	}
	got := segments(t, tmp)
	if _, ok := got[held.ID]; !ok {
		t.Error("a draft was swept whose shim is there")
	}
	delete(got, held.ID)
	if len(got) > 0 {
		t.Errorf("not swept: %v", got)
	}
	if c := claim(t, exchange, live.ID); c.Bad != nil {
		t.Errorf("the sweep disturbed a request: %v", c.Bad)
	}
}

// TestState remembers and forgets.
func TestState(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "state")
	state, err := spool.OpenState(dir)
	if err != nil {
		t.Fatal(err)
	}
	id, other := spool.NewID(), spool.NewID()
	for _, id := range []string{id, other} {
		if err := state.Accept(id); err != nil {
			t.Fatal(err)
		}
	}
	if err := state.Accept(id); !errors.Is(err, os.ErrExist) {
		t.Errorf("Accept again = %v, want %v", err, os.ErrExist)
	}
	if err := os.WriteFile(state.ContextPath(id), []byte("x"), 0o600); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"lost+found", ".hidden"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, spool.NewID()), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if state, err = spool.OpenState(dir); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := state.Forget(other); err != nil {
			t.Fatal(err)
		}
	}
	if ids, err := state.Accepted(); err != nil || !cmp.Equal(ids, []string{id}) {
		t.Errorf("Accepted() = %v, %v, want %s alone", ids, err, id)
	}
	info, err := os.Stat(filepath.Join(dir, id))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v: the state is the daemon's alone", info.Mode(), err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if ids, err := state.Accepted(); err != nil || len(ids) > 0 {
		t.Errorf("Accepted() = %v, %v without a directory", ids, err)
	}
}

// TestDropped: a claim knows when its request came, however late it is made.
func TestDropped(t *testing.T) {
	dir := exchangeDir(t)
	exchange := open(t, dir)
	// The kernel's clock for files runs a tick of at most 10 ms behind.
	before := time.Now().Add(-10 * time.Millisecond)
	shim := start(t, "hold", dir, nil)
	id := shim.line(t)
	after := time.Now()
	c := claim(t, exchange, id)
	if c.Dropped.Before(before) || c.Dropped.After(after) {
		t.Errorf("Dropped = %s, want it between %s and %s", c.Dropped, before, after)
	}
	shim.kill(t)
	if waited := c.Waited(); waited <= 0 || waited > time.Since(before) {
		t.Errorf("Waited() = %s", waited)
	}
	for name, dropped := range map[string]time.Time{"a clock ahead": time.Now().Add(time.Hour), "unknown": {}} {
		if waited := (&spool.Claim{Dropped: dropped}).Waited(); waited != 0 {
			t.Errorf("%s: Waited() = %s, want 0", name, waited)
		}
	}
}

// TestExit: what the shim says of an action's end is read back, and nothing else is taken
// for it.
func TestExit(t *testing.T) {
	for text, want := range map[string]int{
		"0": 0, "7": 7, "127": 127,
		"128": -1, "255": -1, "256": -1, "-1": -1, "+1": -1, "": -1, " 1": -1, "1\n": -1, "0x1": -1, "00001": -1,
	} {
		t.Run(text, func(t *testing.T) {
			dir := exchangeDir(t)
			exchange := open(t, dir)
			if err := exchange.Init(); err != nil {
				t.Fatal(err)
			}
			draft := drop(t, exchange, "")
			c := claim(t, exchange, draft.ID)
			if _, told := c.Exit(); told {
				t.Error("told before anything was said")
			}
			err := os.WriteFile(filepath.Join(dir, "requests", draft.ID, "exit"), []byte(text), 0o666)
			if text == "7" { // as a shim does it
				err = draft.SayExit(7)
			}
			if err != nil {
				t.Fatal(err)
			}
			if code, told := c.Exit(); told != (want >= 0) || told && code != want {
				t.Errorf("%d, %v", code, told)
			}
		})
	}
}

// TestAnswer carries what the runner is to read from the daemon to the shim.
func TestAnswer(t *testing.T) {
	exchange := open(t, exchangeDir(t))
	if err := exchange.Init(); err != nil {
		t.Fatal(err)
	}
	draft := drop(t, exchange, "")
	c := claim(t, exchange, draft.ID)
	defer c.Close()
	large := json.RawMessage(`"` + strings.Repeat("x", 48<<10) + `"`)
	if err := c.Answer(0, large); err == nil {
		t.Error("a large response is no error")
	}
	want := json.RawMessage(`{"state":{"a":"<&>"}}`)
	if err := c.Answer(3, want); err != nil {
		t.Fatal(err)
	}
	result, ok, err := draft.Result(io.Discard)
	if err != nil || !ok || result.ExitCode != 3 {
		t.Fatalf("%+v, %t, %v", result, ok, err)
	}
	if diff := cmp.Diff(string(want), string(result.Response)); diff != "" {
		t.Errorf("the response (-want +got):\n%s", diff)
	}
}
