package app_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"kiln/internal/app"
	"kiln/internal/config"
	"kiln/internal/metrics"
	"kiln/internal/spool"
)

// get reads one page, or returns "" where nobody answers.
func get(t *testing.T, address, path string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %v", path, response.StatusCode, err)
	}
	return string(body)
}

// succeed is a step that says hello.
func succeed(_ context.Context, claim *spool.Claim) int {
	_, _ = io.WriteString(claim.Log, "hello\n")
	return 0
}

func TestMetricsHaveAPortOfTheirOwn(t *testing.T) {
	exchange, a := daemonOf(t, app.Options{Handler: &scripted{handle: succeed}, Metrics: metrics.New(metrics.Options{})}, nil)
	draft := drop(t, exchange)
	result(t, draft)
	draft.Remove()
	page := get(t, a.Addr("/metrics").String(), "/metrics")
	for _, want := range []string{"kiln_config_valid 1\n", "kiln_phase_duration_seconds_count{phase=\"queue\"} 1\n", "kiln_watch_mode{mode=\"inotify\"} 1\n"} {
		if !strings.Contains(page, want) {
			t.Errorf("/metrics has no %q", want)
		}
	}
	if ready := get(t, a.Addr("/readyz").String(), "/readyz"); ready != "ok\n" {
		t.Errorf("/readyz = %q", ready)
	}
}

func TestTakenPortIsToldAndTriedAgain(t *testing.T) {
	// An address of its own: once it is free, nobody else is to get the port.
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.77.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := taken.Addr().String()
	counted := metrics.New(metrics.Options{})
	exchange, a := daemonOf(t, app.Options{Handler: &scripted{handle: succeed}, Metrics: counted}, func(s *config.Settings) { s.MetricsListen = address })
	draft := drop(t, exchange)
	got, log := result(t, draft)
	draft.Remove()
	told := "kiln's daemon cannot serve /metrics: listen tcp " + address + ": bind: address already in use"
	if got.ExitCode != 0 || !strings.HasPrefix(log, "::error::kiln: "+told) || !strings.HasSuffix(log, "hello\n") || strings.Count(log, "\n") != 2 {
		t.Errorf("code %d, log %q", got.ExitCode, log)
	}
	if ready := get(t, a.Addr("/readyz").String(), "/readyz"); !strings.Contains(ready, told) {
		t.Errorf("/readyz = %q", ready)
	}
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return strings.Contains(get(t, address, "/metrics"), "kiln_config_valid 1\n") })
	draft = drop(t, exchange)
	if _, log := result(t, draft); log != "hello\n" {
		t.Errorf("log with a free port = %q", log)
	}
	draft.Remove()
}

func TestUnreachableClusterIsToldUntilItAnswers(t *testing.T) {
	answers := make(chan error, 2)
	answers <- errors.New("no route to the API server")
	_, a := daemonOf(t, app.Options{
		Handler: &scripted{}, Metrics: metrics.New(metrics.Options{}),
		Reachable: func(ctx context.Context) error {
			select {
			case err := <-answers:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		},
	}, nil)
	ready := func() string { return get(t, a.Addr("/readyz").String(), "/readyz") }
	eventually(t, func() bool { return strings.Contains(ready(), "no route to the API server\n") })
	if page := get(t, a.Addr("/metrics").String(), "/metrics"); !strings.Contains(page, "kiln_config_valid 0\n") {
		t.Error("kiln_config_valid is not 0")
	}
	answers <- nil
	eventually(t, func() bool { return ready() == "ok\n" })
}

// TestServedWhateverIsWrong shows that what the start-up probe asks for does not wait
// for settings, ports or the API server: the runner container starts after it.
func TestServedWhateverIsWrong(t *testing.T) {
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	ports := func(s *config.Settings) { s.Listen, s.MetricsListen = taken.Addr().String(), taken.Addr().String() }
	for name, tc := range map[string]struct {
		options app.Options
		change  func(*config.Settings)
	}{
		"no setting":      {app.Options{}, func(s *config.Settings) { *s = config.Settings{Exchange: s.Exchange, State: s.State} }},
		"no command line": {app.Options{Broken: errors.New("unknown flag --x")}, ports},
		"no state":        {app.Options{}, func(s *config.Settings) { s.State = "/proc/nowhere" }},
		"ports taken":     {app.Options{Handler: &scripted{handle: succeed}}, ports},
		"no API server":   {app.Options{Handler: &scripted{handle: succeed}, Reachable: func(context.Context) error { return errors.New("refused") }}, ports},
		"silent API server": {app.Options{Handler: &scripted{handle: succeed}, Reachable: func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}}, ports},
	} {
		t.Run(name, func(t *testing.T) {
			tc.options.Metrics = metrics.New(metrics.Options{})
			exchange, _ := daemonOf(t, tc.options, tc.change)
			eventually(t, func() bool { return exchange.Served() && exchange.DaemonAlive() })
		})
	}
}
