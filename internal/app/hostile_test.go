package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"kiln/internal/app"
	"kiln/internal/config"
	"kiln/internal/spool"
)

// dropArgs hands a request over that has these arguments.
func dropArgs(t *testing.T, exchange *spool.Exchange, args string) *spool.Draft {
	t.Helper()
	draft, err := exchange.NewDraft()
	if err != nil {
		t.Fatal(err)
	}
	if err := draft.Drop(spool.Request{Args: json.RawMessage(args)}); err != nil {
		t.Fatal(err)
	}
	return draft
}

// TestACrowdIsTold: requests that are more than kilnd takes up at once are named at
// /readyz, take no memory while they wait, and are served once there is room.
func TestACrowdIsTold(t *testing.T) {
	const crowd, size = 103, 256 << 10
	release := make(chan struct{})
	exchange, a := daemon(t, &scripted{handle: func(_ context.Context, claim *spool.Claim) int {
		claim.Load()
		<-release
		return 0
	}}, func(s *config.Settings) { s.MaxInFlight = 2 })
	eventually(t, exchange.Served)
	args := `{"x":"` + strings.Repeat("x", size) + `"}`
	before := live()
	var drafts []*spool.Draft
	for range crowd {
		drafts = append(drafts, dropArgs(t, exchange, args))
	}
	ready := func() string { return get(t, a.Addr("/readyz").String(), "/readyz") }
	eventually(t, func() bool { return strings.Contains(ready(), "3 requests are not taken up") })
	// What is busy at the time of a collection holds garbage too: it is gone with a later one.
	eventually(t, func() bool { return live()-before <= 20*size })
	close(release)
	for _, draft := range drafts {
		result(t, draft)
		draft.Remove()
	}
	eventually(t, func() bool { return ready() == "ok\n" })
}

// live is the memory in use after a collection.
func live() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// TestAClosedExchangeIsTold: what kilnd cannot mend is named at /readyz for as long
// as it lasts.
func TestAClosedExchangeIsTold(t *testing.T) {
	t.Parallel() // it waits for a sweep
	dir := t.TempDir()
	exchange, a := daemon(t, &scripted{handle: func(context.Context, *spool.Claim) int { return 0 }}, func(s *config.Settings) { s.Exchange = dir })
	eventually(t, exchange.Served)
	ready := func() string { return get(t, a.Addr("/readyz").String(), "/readyz") }
	eventually(t, func() bool { return ready() == "ok\n" })
	for _, move := range [][2]string{{dir, dir + ".away"}, {dir + ".away", dir}} {
		if err := os.Rename(move[0], move[1]); err != nil {
			t.Fatal(err)
		}
		if move[0] == dir {
			eventually(t, func() bool { return strings.Contains(ready(), "a step may not be seen or answered") })
		}
	}
	eventually(t, func() bool { return ready() == "ok\n" })
	draft := drop(t, exchange)
	if got, _ := result(t, draft); got.ExitCode != 0 {
		t.Errorf("result = %+v", got)
	}
	draft.Remove()
}

// TestOneLineForEachKind: however many oddities workflow code makes, a kind of them
// is one line of the log.
func TestOneLineForEachKind(t *testing.T) {
	dir := t.TempDir()
	core, said := observer.New(zap.WarnLevel)
	s := settings(dir, t.TempDir())
	start(t, app.Options{Settings: s, Log: zap.New(core), Handler: &scripted{handle: func(context.Context, *spool.Claim) int { return 0 }}})
	exchange := open(t, dir)
	eventually(t, exchange.Served)
	aside := t.TempDir()
	for i := range 50 {
		name := fmt.Sprintf("abcdefghijklmnop%d", i)
		for _, err := range []error{
			os.WriteFile(filepath.Join(dir, "requests", fmt.Sprint(i)), nil, 0o600), // no request's name
			os.WriteFile(filepath.Join(dir, "requests", name), nil, 0o600),          // no directory
			os.MkdirAll(filepath.Join(aside, name, "a", "b"), 0o700),
			os.Rename(filepath.Join(aside, name), filepath.Join(dir, "cancel", name+"x")), // nothing that can be removed
			syscall.Mkfifo(filepath.Join(dir, "tmp", name), 0o600),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 3 { // each is a scan at least
		draft := drop(t, exchange)
		result(t, draft)
		draft.Remove()
	}
	lines := map[string]int{}
	for _, entry := range said.All() {
		lines[entry.Message]++
	}
	for _, kind := range []string{"claim a request", "clear a request", "foreign names in the exchange"} {
		if lines[kind] != 1 {
			t.Errorf("%q was logged %d times, want once", kind, lines[kind])
		}
	}
	if len(lines) > 8 || len(said.All()) > 8 {
		t.Errorf("the log has %d lines: %v", len(said.All()), lines)
	}
}
