package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
	"go.uber.org/zap/zaptest/observer"

	"kiln/internal/app"
	"kiln/internal/config"
	"kiln/internal/spool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scripted is a handler whose behaviour a test chooses.
type scripted struct {
	handle    func(ctx context.Context, claim *spool.Claim) int
	discarded chan string
	// wish, unless it is nil, carries a wish out.
	wish func(ctx context.Context, wish *spool.TakenWish)
	// begun, unless it is nil, is called by BeginJob.
	begun func(job string)
	// discardErr is what Discard returns.
	discardErr error
	// released, unless it is nil, is called by Release.
	released func()
}

func (s *scripted) Handle(ctx context.Context, claim *spool.Claim) int { return s.handle(ctx, claim) }

func (s *scripted) Wish(ctx context.Context, wish *spool.TakenWish) {
	defer wish.Close()
	if s.wish != nil {
		s.wish(ctx, wish)
	}
}

func (s *scripted) BeginJob(job string) {
	if s.begun != nil {
		s.begun(job)
	}
}

func (s *scripted) Discard(_ context.Context, id string) error {
	s.discarded <- id
	return s.discardErr
}

func (s *scripted) Release(context.Context) error {
	if s.released != nil {
		s.released()
	}
	return nil
}

// daemon starts an App over fresh directories and returns its exchange.
func daemon(t *testing.T, handler *scripted, change func(*config.Settings)) (*spool.Exchange, *app.App) {
	t.Helper()
	return daemonOf(t, app.Options{Handler: handler}, change)
}

// daemonOf is daemon with further options.
func daemonOf(t *testing.T, options app.Options, change func(*config.Settings)) (*spool.Exchange, *app.App) {
	t.Helper()
	settings := settings(t.TempDir(), t.TempDir())
	if change != nil {
		change(settings)
	}
	options.Settings, options.Log = settings, zaptest.NewLogger(t)
	return open(t, settings.Exchange), start(t, options)
}

// settings are those of a daemon that can work.
func settings(exchange, state string) *config.Settings {
	return &config.Settings{
		KanikoImage: config.KanikoImage, Executor: "/kaniko/executor", SnapshotMode: "full",
		BuildRights: "docker", BuildUserns: "auto",
		RegistryHost: "registry.example.com/kiln", PodName: "runner-1", Listen: "127.0.0.1:0", MetricsListen: "127.0.0.1:0",
		Exchange: exchange, State: state,
		ContextMaxBytes: 1 << 20, ContextMaxEntries: 100, MaxInFlight: 2, LogBacklogBytes: 1 << 20,
		PendingTimeout: time.Minute, BuildTimeout: time.Minute, BuildMemory: "1Gi", BuildStorage: "1Gi",
		Placement: config.PlacementSameNode, Tag: config.TagContent, Assemble: config.AssembleOff, JobRights: "baseline",
	}
}

// start runs an App until the test ends.
func start(t *testing.T, options app.Options) *app.App {
	t.Helper()
	a := app.New(options)
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-stopped; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return a
}

// open is the shim's view of an exchange.
func open(t *testing.T, dir string) *spool.Exchange {
	t.Helper()
	exchange, err := spool.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = exchange.Close() })
	return exchange
}

// drop hands an empty request over.
func drop(t *testing.T, exchange *spool.Exchange) *spool.Draft {
	t.Helper()
	draft, err := exchange.NewDraft()
	if err != nil {
		t.Fatal(err)
	}
	if err := draft.Drop(spool.Request{Args: json.RawMessage(`{}`)}); err != nil {
		t.Fatal(err)
	}
	return draft
}

// result waits for the answer and returns it with the log.
func result(t *testing.T, draft *spool.Draft) (spool.Result, string) {
	t.Helper()
	var log bytes.Buffer
	var found spool.Result
	eventually(t, func() bool {
		r, ok, err := draft.Result(&log)
		if err != nil {
			t.Fatal(err)
		}
		found = r
		return ok
	})
	return found, log.String()
}

// eventually polls until done or the test's patience ends, which guards against a hang.
func eventually(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("did not happen within a minute")
		}
	}
}

// empty reports whether nothing of any request is in the exchange.
func empty(t *testing.T, exchange *spool.Exchange) bool {
	t.Helper()
	requests, _, err := exchange.Requests()
	responses, err2 := exchange.Responses()
	cancels, err3 := exchange.Cancelled()
	if err := errors.Join(err, err2, err3); err != nil {
		t.Fatal(err)
	}
	return len(requests)+len(responses)+len(cancels) == 0
}

func TestStepIsAnsweredAndCleared(t *testing.T) {
	exchange, _ := daemon(t, &scripted{handle: func(_ context.Context, claim *spool.Claim) int {
		_, _ = io.WriteString(claim.Log, "hello\n")
		return 7
	}}, nil)
	draft := drop(t, exchange)
	got, log := result(t, draft)
	if got.ExitCode != 7 || log != "hello\n" {
		t.Errorf("result = %+v, log = %q", got, log)
	}
	draft.Remove()
	eventually(t, func() bool { return empty(t, exchange) })
}

func TestCancelReachesTheHandler(t *testing.T) {
	started := make(chan struct{})
	exchange, _ := daemon(t, &scripted{handle: func(ctx context.Context, claim *spool.Claim) int {
		close(started)
		<-ctx.Done()
		_, _ = io.WriteString(claim.Log, context.Cause(ctx).Error())
		return 1
	}}, nil)
	draft := drop(t, exchange)
	<-started
	if err := draft.Cancel(); err != nil {
		t.Fatal(err)
	}
	_, log := result(t, draft)
	if log != "the step was cancelled" {
		t.Errorf("cause = %q", log)
	}
	draft.Remove()
	eventually(t, func() bool { return empty(t, exchange) })
}

func TestRemovedRequestCancels(t *testing.T) {
	started, ended := make(chan struct{}), make(chan error, 1)
	exchange, _ := daemon(t, &scripted{handle: func(ctx context.Context, _ *spool.Claim) int {
		close(started)
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return 1
	}}, nil)
	draft := drop(t, exchange)
	<-started
	draft.Remove()
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "has gone") {
		t.Errorf("cause = %v", err)
	}
	eventually(t, func() bool { return empty(t, exchange) })
}

// TestTheStopIsTold ends the daemon as a signal does, which has a cause of its own.
func TestTheStopIsTold(t *testing.T) {
	started, ended := make(chan struct{}), make(chan error, 1)
	dir := t.TempDir()
	a := app.New(app.Options{
		Settings: settings(dir, t.TempDir()), Log: zaptest.NewLogger(t),
		Handler: &scripted{handle: func(ctx context.Context, _ *spool.Claim) int {
			close(started)
			<-ctx.Done()
			ended <- context.Cause(ctx)
			return 1
		}},
	})
	ctx, stop := context.WithCancelCause(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- a.Run(ctx) }()
	draft := drop(t, open(t, dir))
	defer draft.Remove()
	<-started
	stop(errors.New("terminated signal received"))
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "kiln's daemon is being stopped") {
		t.Errorf("cause = %v", err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// A step that finds no room says so, which shows that it has not begun, and runs once
// there is some.
func TestNoMoreThanTheLimitRunAtOnce(t *testing.T) {
	running, release := make(chan struct{}, 3), make(chan struct{})
	exchange, _ := daemon(t, &scripted{handle: func(context.Context, *spool.Claim) int {
		running <- struct{}{}
		<-release
		return 0
	}}, func(s *config.Settings) { s.MaxInFlight = 2 })
	drafts := []*spool.Draft{drop(t, exchange), drop(t, exchange), drop(t, exchange)}
	<-running
	<-running
	var told bytes.Buffer
	eventually(t, func() bool {
		for _, draft := range drafts {
			if _, ended, err := draft.Result(&told); ended || err != nil {
				t.Fatalf("ended: %v, %v", ended, err)
			}
		}
		return told.Len() > 0
	})
	if want := "kiln: waiting: 2 steps of this runner run already (KILN_MAX_IN_FLIGHT)\n"; told.String() != want || len(running) > 0 {
		t.Errorf("%d more steps run, and one was told %q, want none and %q", len(running), told.String(), want)
	}
	close(release)
	for _, draft := range drafts {
		result(t, draft)
		draft.Remove()
	}
	if len(running) != 1 {
		t.Errorf("%d steps ran after the first two, want the third", len(running))
	}
}

// A step that is refused before it starts is in the daemon's log too.
func TestARefusedStepIsLogged(t *testing.T) {
	dir := t.TempDir()
	broken := settings(dir, t.TempDir())
	broken.RegistryHost = ""
	core, said := observer.New(zap.WarnLevel)
	start(t, app.Options{Settings: broken, Log: zap.New(core)})
	draft := drop(t, open(t, dir))
	defer draft.Remove()
	result(t, draft)
	logged := said.FilterMessage("step refused").All()
	if len(logged) != 1 {
		t.Fatalf("logged %d times, want once", len(logged))
	}
	fields := logged[0].ContextMap()
	if fields["request"] != draft.ID || fields["reason"] != "misconfigured" || !strings.Contains(fmt.Sprint(fields["error"]), "REGISTRY_HOST is not set") {
		t.Errorf("fields = %v", fields)
	}
}

func TestBadSettingsAreToldToEveryStep(t *testing.T) {
	exchange, a := daemon(t, nil, func(s *config.Settings) { s.RegistryHost = "" })
	draft := drop(t, exchange)
	got, log := result(t, draft)
	if got.ExitCode != 1 || !strings.HasPrefix(log, "::error::kiln: ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_HOST is not set") || !strings.HasSuffix(log, " [misconfigured]\n") {
		t.Errorf("result = %+v, log = %q", got, log)
	}
	draft.Remove()
	response, err := http.Get("http://" + a.Addr("/readyz").String() + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusOK || !strings.Contains(string(body), "REGISTRY_HOST is not set") {
		t.Errorf("/readyz = %d %s", response.StatusCode, body)
	}
}

// leftOver is an exchange with a step that an earlier run of the daemon had begun and
// written a line for, and the settings of the next.
func leftOver(t *testing.T) (*spool.Draft, *spool.Exchange, *spool.State, func(*config.Settings)) {
	t.Helper()
	exchangeDir, stateDir := t.TempDir(), t.TempDir()
	exchange, err := spool.Open(exchangeDir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = exchange.Close() })
	if err := exchange.Init(); err != nil {
		t.Fatal(err)
	}
	state, err := spool.OpenState(stateDir)
	if err != nil {
		t.Fatal(err)
	}
	return begun(t, exchange, state), exchange, state, func(s *config.Settings) { s.Exchange, s.State = exchangeDir, stateDir }
}

// begun is a step that a run of the daemon had accepted and begun.
func begun(t *testing.T, exchange *spool.Exchange, state *spool.State) *spool.Draft {
	t.Helper()
	draft := drop(t, exchange)
	claim, err := exchange.Claim(draft.ID, 1<<20)
	if err == nil {
		err = state.Accept(draft.ID)
	}
	if err == nil {
		claim.Keep(state.Journal(draft.ID))
		_, err = claim.Log.WriteMarked([]byte("one\n"), 1)
	}
	if err = errors.Join(err, claim.Log.Flush()); err != nil {
		t.Fatal(err)
	}
	claim.Close()
	return draft
}

// TestRestartGoesOn: the next run of the daemon answers what the earlier one had begun,
// with the log behind that one's, and gives up what no step needs once that is over.
func TestRestartGoesOn(t *testing.T) {
	draft, exchange, state, settings := leftOver(t)
	answered := make(chan struct{})
	released := make(chan bool, 1)
	handler := &scripted{
		handle: func(_ context.Context, claim *spool.Claim) int {
			defer close(answered)
			_, err := claim.Log.WriteMarked([]byte("two\n"), 2)
			if !claim.Resumed || string(claim.Mark) != "1" || err != nil {
				t.Errorf("Resumed = %v, Mark = %s, %v", claim.Resumed, claim.Mark, err)
			}
			return 3
		},
		released: func() {
			select {
			case <-answered:
				released <- true
			default:
				released <- false
			}
		},
	}
	daemon(t, handler, settings)
	if got, log := result(t, draft); got.ExitCode != 3 || got.Message != "" || log != "one\ntwo\n" {
		t.Errorf("result = %+v, log %q", got, log)
	}
	if !<-released {
		t.Error("build pods were given up while a step might look for its own")
	}
	draft.Remove()
	eventually(t, func() bool { return empty(t, exchange) })
	if ids, err := state.Accepted(); err != nil || len(ids) > 0 {
		t.Errorf("the state keeps %v, %v", ids, err)
	}
}

// TestRestartOfACancelledStep: a step that is cancelled before its turn has come is the
// handler's all the same, which deletes what the earlier run had made for it.
func TestRestartOfACancelledStep(t *testing.T) {
	first, exchange, state, settings := leftOver(t)
	drafts := map[string]*spool.Draft{first.ID: first}
	second := begun(t, exchange, state)
	drafts[second.ID] = second
	inTurn := make(chan string, len(drafts))
	handler := &scripted{handle: func(ctx context.Context, claim *spool.Claim) int {
		inTurn <- claim.ID
		<-ctx.Done()
		return 3
	}}
	daemon(t, handler, func(s *config.Settings) {
		settings(s)
		s.MaxInFlight = 1
	})
	running := <-inTurn
	for id, draft := range drafts {
		if id == running {
			continue
		}
		if err := draft.Cancel(); err != nil {
			t.Fatal(err)
		}
		got, log := result(t, draft)
		// A step that waits for long is told of that; how long it waits here is chance.
		log = strings.ReplaceAll(log, "kiln: waiting: 1 steps of this runner run already (KILN_MAX_IN_FLIGHT)\n", "")
		if got.ExitCode != 3 || log != "one\n" {
			t.Errorf("the waiting step: %+v, log %q, want the handler's end", got, log)
		}
	}
	if err := drafts[running].Cancel(); err != nil {
		t.Fatal(err)
	}
	result(t, drafts[running])
	for _, draft := range drafts {
		draft.Remove()
	}
	eventually(t, func() bool { return empty(t, exchange) })
}

// TestRestartWithoutAShim: what was made for a step that nobody waits for is deleted.
func TestRestartWithoutAShim(t *testing.T) {
	draft, _, state, settings := leftOver(t)
	draft.Remove()
	handler := &scripted{discarded: make(chan string, 1)}
	daemon(t, handler, settings)
	if id := <-handler.discarded; id != draft.ID {
		t.Errorf("discarded %s", id)
	}
	eventually(t, func() bool { ids, err := state.Accepted(); return err == nil && len(ids) == 0 })
}

// TestRestartAgainAndAgain: a step under which one run after the other ends is ended.
func TestRestartAgainAndAgain(t *testing.T) {
	draft, exchange, state, settings := leftOver(t)
	if err := state.Save(draft.ID, "restarts", 5); err != nil {
		t.Fatal(err)
	}
	handler := &scripted{discarded: make(chan string, 1), handle: func(context.Context, *spool.Claim) int {
		t.Error("the step was taken up again")
		return 0
	}}
	daemon(t, handler, settings)
	got, log := result(t, draft)
	if got.ExitCode != 1 || !strings.Contains(got.Message, "was restarted") || log != "one\n" {
		t.Errorf("result = %+v, log %q", got, log)
	}
	if id := <-handler.discarded; id != draft.ID {
		t.Errorf("discarded %s", id)
	}
	draft.Remove()
	eventually(t, func() bool { return empty(t, exchange) })
}

func TestShimsAreToldOfTheTemplate(t *testing.T) {
	exchange, _ := daemon(t, &scripted{}, func(s *config.Settings) { s.ActionTemplate = "/etc/kiln/hook.yaml" })
	want := spool.Settings{ContextMaxBytes: 1 << 20, ContextMaxEntries: 100, HookTemplate: true}
	eventually(t, func() bool { return exchange.Settings() == want })
}

func TestWhatCannotBeDeletedIsKeptInMind(t *testing.T) {
	t.Parallel() // it waits for two sweeps
	stateDir := t.TempDir()
	state, err := spool.OpenState(stateDir)
	if err != nil {
		t.Fatal(err)
	}
	id := spool.NewID()
	if err := state.Accept(id); err != nil {
		t.Fatal(err)
	}
	handler := &scripted{discarded: make(chan string, 1), discardErr: errors.New("the API server is down")}
	core, said := observer.New(zap.WarnLevel)
	start(t, app.Options{Settings: settings(t.TempDir(), stateDir), Handler: handler, Log: zap.New(core)})
	<-handler.discarded
	<-handler.discarded
	<-handler.discarded // two trials are over
	if n := said.FilterMessage("delete what an earlier run left").Len(); n != 1 {
		t.Errorf("said %d times, want once", n)
	}
	if ids, err := state.Accepted(); err != nil || len(ids) != 1 {
		t.Errorf("the state keeps %v, %v", ids, err)
	}
}

func TestABlockedLogDoesNotHoldUpAStepWithoutShim(t *testing.T) {
	ended := make(chan error, 1)
	exchange, _ := daemon(t, &scripted{handle: func(_ context.Context, claim *spool.Claim) int {
		for {
			if _, err := claim.Log.Write(make([]byte, 1<<20)); err != nil {
				ended <- err
				return 1
			}
		}
	}}, nil)
	draft := drop(t, exchange)
	eventually(t, draft.Claimed)
	draft.Remove()
	if err := <-ended; !errors.Is(err, spool.ErrLogStopped) {
		t.Errorf("the writer got %v", err)
	}
	eventually(t, func() bool { return empty(t, exchange) })
}

func TestTheExchangeIsMended(t *testing.T) {
	dir := t.TempDir()
	exchange, _ := daemon(t, &scripted{handle: func(context.Context, *spool.Claim) int { return 0 }}, func(s *config.Settings) { s.Exchange = dir })
	eventually(t, exchange.Served)
	if err := os.RemoveAll(filepath.Join(dir, "requests")); err != nil {
		t.Fatal(err)
	}
	eventually(t, exchange.Served)
	draft := drop(t, exchange)
	if got, _ := result(t, draft); got.ExitCode != 0 {
		t.Errorf("result = %+v", got)
	}
	draft.Remove()
}

// TestTheExchangeIsWaitedFor starts over a directory that cannot be served: the
// start-up probe passes all the same, and kiln serves once it can.
func TestTheExchangeIsWaitedFor(t *testing.T) {
	t.Parallel() // it waits to be tried again
	dir := filepath.Join(t.TempDir(), "exchange")
	for _, tt := range []struct {
		name, says string
		spoil      func() error
		mend       func() error
	}{
		{"no directory", "open exchange", func() error { return nil }, func() error { return os.Mkdir(dir, 0o777) }},
		{
			"a file in it", filepath.Join(dir, "requests"),
			func() error { return os.WriteFile(filepath.Join(dir, "requests"), nil, 0o600) },
			func() error { return os.Remove(filepath.Join(dir, "requests")) },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.spoil(); err != nil {
				t.Fatal(err)
			}
			a := start(t, app.Options{
				Handler: &scripted{handle: succeed}, Log: zaptest.NewLogger(t),
				Settings: settings(dir, t.TempDir()),
			})
			address := a.Addr("/readyz").String()
			if ready := get(t, address, "/readyz"); !strings.HasPrefix(ready, "not serving the exchange:\n") || !strings.Contains(ready, tt.says) {
				t.Errorf("/readyz = %q", ready)
			}
			if err := tt.mend(); err != nil {
				t.Fatal(err)
			}
			exchange := open(t, dir)
			eventually(t, exchange.Served)
			draft := drop(t, exchange)
			if got, _ := result(t, draft); got.ExitCode != 0 {
				t.Errorf("result = %+v", got)
			}
			draft.Remove()
			if ready := get(t, address, "/readyz"); ready != "ok\n" {
				t.Errorf("/readyz = %q", ready)
			}
		})
		if err := os.RemoveAll(filepath.Join(dir, "requests")); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAnExchangeThatNeverComes wants an end all the same.
func TestAnExchangeThatNeverComes(t *testing.T) {
	start(t, app.Options{
		Handler: &scripted{}, Log: zaptest.NewLogger(t), Settings: settings(filepath.Join(t.TempDir(), "nowhere"), t.TempDir()),
	})
}
