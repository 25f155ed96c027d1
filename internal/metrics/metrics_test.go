package metrics_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"kiln/internal/failure"
	"kiln/internal/metrics"
)

// options are what the tests use.
func options() metrics.Options {
	return metrics.Options{Version: "v1.2.3", Restarts: 2, MemoryLimit: 1 << 20}
}

// scrape reads the metrics as Prometheus does.
func scrape(t *testing.T, m *metrics.Metrics) string {
	t.Helper()
	request := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	request.Header.Set("Accept", "application/openmetrics-text;version=1.0.0")
	recorder := httptest.NewRecorder()
	m.Handler().ServeHTTP(recorder, request)
	if recorder.Code != http.StatusOK {
		t.Fatalf("code %d: %s", recorder.Code, recorder.Body)
	}
	return recorder.Body.String()
}

// values returns the series of kiln's that are not zero, without the times at
// which they were created and without those that follow from the machine.
func values(t *testing.T, m *metrics.Metrics) map[string]string {
	t.Helper()
	found := map[string]string{}
	for line := range strings.Lines(scrape(t, m)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "} ")
		if !strings.Contains(line, "} ") {
			name, value, _ = strings.Cut(strings.TrimSpace(line), " ")
		} else {
			name += "}"
		}
		base, _, _ := strings.Cut(name, "{")
		if strings.HasPrefix(line, "kiln_") && value != "0.0" && value != "0" && base != "kiln_build_info" && !strings.HasSuffix(base, "_created") {
			found[name] = value
		}
	}
	return found
}

func TestNamesAndUnits(t *testing.T) {
	problems, err := testutil.GatherAndLint(metrics.New(options()).Gatherer())
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Errorf("%s: %s", problem.Metric, problem.Text)
	}
}

func TestEverySeriesIsThereFromTheStart(t *testing.T) {
	m := metrics.New(options())
	before := seriesNames(scrape(t, m))
	everything(m)
	if diff := cmp.Diff(before, seriesNames(scrape(t, m))); diff != "" {
		t.Errorf("series that came later (-start +end):\n%s", diff)
	}
	const most = 400 // a runner pod lives for one job, and there are many
	if len(before) > most {
		t.Errorf("%d series, at most %d", len(before), most)
	}
}

// seriesNames are the names and labels of what a scrape shows.
func seriesNames(text string) []string {
	var names []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "kiln_") {
			names = append(names, line[:strings.LastIndex(line, " ")])
		}
	}
	return names
}

// everything calls every method, also with values of no closed set.
func everything(m *metrics.Metrics) {
	m.StepStarted()()
	m.StepStarted()
	m.StepEnded(metrics.KindDockerfile, 0, nil)
	m.StepEnded(metrics.KindDockerfile, 1, fmt.Errorf("wrapped: %w", failure.New(failure.OutOfMemory, "too big")))
	m.StepEnded(metrics.KindDockerfile, 1, failure.New(failure.Cancelled, "away"))
	m.StepEnded(metrics.KindDockerfile, 1, failure.New(failure.BadRequest, "no"))
	m.StepEnded(metrics.KindImage, 3, nil)
	m.StepEnded("surprise", 1, failure.New("surprise", "oh"))
	m.BuildEnded(metrics.BuildReused)
	m.BuildEnded(metrics.BuildFailed)
	m.BuildEnded("surprise")
	m.PhaseEnded(metrics.PhaseBuild, 3*time.Second)
	m.PhaseEnded("surprise", time.Second)
	m.ContextRead(5 << 10)
	m.PodWaits()()
	m.PodWaits()
	m.GateDenied()
	m.CleanupFailed()
	m.ConfigValid(false)
	m.ConfigValid(true)
	m.Polling(false)
	m.Polling(true)
	for _, code := range []int{101, 200, 201, 307, 400, 403, 429, 503, 999} {
		call(m.KubernetesTransport(answer(code)))
	}
	call(m.RegistryTransport(answer(http.StatusNotFound)))
	call(m.RegistryTransport(broken{}))
}

// call sends one request.
func call(transport http.RoundTripper) {
	response, err := transport.RoundTrip(httptest.NewRequest(http.MethodGet, "http://a.example/", nil))
	if err == nil {
		_ = response.Body.Close()
	}
}

// answer is a transport whose answers have one code.
type answer int

func (a answer) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: int(a), Body: http.NoBody}, nil
}

// broken is a transport without answers.
type broken struct{}

func (broken) RoundTrip(*http.Request) (*http.Response, error) { return nil, errors.New("no route") }

func TestWhatHappenedIsCounted(t *testing.T) {
	m := metrics.New(options())
	everything(m)
	got := values(t, m)
	for name := range got {
		if strings.Contains(name, "_bucket{") || strings.HasSuffix(name, "_sum") {
			delete(got, name)
		}
	}
	want := map[string]string{
		`kiln_requests_total{kind="dockerfile",outcome="succeeded"}`: "1.0",
		`kiln_requests_total{kind="dockerfile",outcome="error"}`:     "1.0",
		`kiln_requests_total{kind="dockerfile",outcome="cancelled"}`: "1.0",
		`kiln_requests_total{kind="dockerfile",outcome="refused"}`:   "1.0",
		`kiln_requests_total{kind="image",outcome="failed"}`:         "1.0",
		`kiln_requests_total{kind="unknown",outcome="error"}`:        "1.0",
		`kiln_builds_total{outcome="reused"}`:                        "1.0",
		`kiln_builds_total{outcome="failed"}`:                        "2.0",
		`kiln_failures_total{reason="out_of_memory"}`:                "1.0",
		`kiln_failures_total{reason="cancelled"}`:                    "1.0",
		`kiln_failures_total{reason="bad_request"}`:                  "1.0",
		`kiln_failures_total{reason="action_failed"}`:                "1.0",
		`kiln_failures_total{reason="internal"}`:                     "1.0",
		`kiln_phase_duration_seconds_count{phase="build"}`:           "1",
		`kiln_phase_duration_seconds_sum{phase="build"}`:             "3.0",
		`kiln_context_bytes_count`:                                   "1",
		`kiln_requests_in_flight`:                                    "1.0",
		`kiln_waiting_pods`:                                          "1.0",
		`kiln_gate_denials_total`:                                    "1.0",
		`kiln_cleanup_errors_total`:                                  "1.0",
		`kiln_config_valid`:                                          "1.0",
		`kiln_watch_mode{mode="polling"}`:                            "1.0",
		`kiln_memory_limit_bytes`:                                    "1.048576e+06",
		`kiln_worker_restarts_total`:                                 "2.0",
		`kiln_kubernetes_requests_total{code="1xx"}`:                 "1.0",
		`kiln_kubernetes_requests_total{code="2xx"}`:                 "2.0",
		`kiln_kubernetes_requests_total{code="3xx"}`:                 "1.0",
		`kiln_kubernetes_requests_total{code="403"}`:                 "1.0",
		`kiln_kubernetes_requests_total{code="429"}`:                 "1.0",
		`kiln_kubernetes_requests_total{code="4xx"}`:                 "1.0",
		`kiln_kubernetes_requests_total{code="5xx"}`:                 "1.0",
		`kiln_kubernetes_requests_total{code="none"}`:                "1.0",
		`kiln_registry_requests_total{code="404"}`:                   "1.0",
		`kiln_registry_requests_total{code="none"}`:                  "1.0",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNilRecordsNothing(t *testing.T) {
	var m *metrics.Metrics
	everything(m) // must not panic
	if transport := m.KubernetesTransport(broken{}); transport != (broken{}) {
		t.Errorf("a nil Metrics wraps a transport: %T", transport)
	}
}

func TestCreatedTimestamps(t *testing.T) {
	server := httptest.NewServer(metrics.New(options()).Handler())
	defer server.Close()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "application/openmetrics-text;version=1.0.0")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`kiln_builds_created{outcome="built"} `, `kiln_phase_duration_seconds_created{phase="run"} `, "# EOF"} {
		if !strings.Contains(string(body), want) {
			t.Errorf("the scrape has no %q", want)
		}
	}
}
