//go:build e2e

package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/suite"
	"kiln/internal/freeport"
)

// TestPrometheus has a real Prometheus scrape a runner pod through a build and a
// reuse, and evaluate every rule and every query of the dashboard. The runner pod's
// events tell of both.
func TestPrometheus(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "metrics", nil)
	p := startPrometheus(t, f)
	p.await(t, `sum(kiln_builds_total)`, "0") // the series are there before anything happened
	outcome.Success(t, f.Use(t, f.Example("hello-shell"), harness.Use{Uses: "acme/hello-shell@v1"}, nil)...)
	outcome.Success(t, f.Use(t, f.Example("hello-shell"), harness.Use{Uses: "acme/hello-shell@v1"}, nil)...)
	p.await(t, `sum(kiln_builds_total{outcome="built"})`, "1")
	p.await(t, `sum(kiln_builds_total{outcome="reused"})`, "1")
	p.await(t, `sum(kiln_requests_total{outcome="succeeded"})`, "2")
	p.await(t, `count(increase(kiln_builds_total{outcome="built"}[5m]) > 0)`, "1")
	p.await(t, `sum(kiln_phase_duration_seconds_count{phase="run"})`, "2")
	p.await(t, `sum(kiln_config_valid)`, "1")
	p.await(t, `sum(kiln_requests_in_flight + kiln_waiting_pods)`, "0")
	p.await(t, `count(kiln_memory_limit_bytes > 64e6)`, "1")
	p.await(t, `count(kiln_kubernetes_requests_total{code="2xx"} > 3)`, "1")
	wantEvents(t, f, "KilnBuildStarted", "KilnImageReused")
	for _, query := range dashboardQueries(t, f) {
		if _, err := p.query(t.Context(), query); err != nil {
			t.Errorf("dashboard: %s: %v", query, err)
		}
	}
	p.wantSoundRules(t)
}

// wantEvents fails the test unless the runner pod has one event of each reason. Steps do
// not wait for their events.
func wantEvents(t *testing.T, f *suite.Fixture, reasons ...string) {
	t.Helper()
	f.Eventually(t, time.Minute, func(ctx context.Context) error {
		list, err := f.Kube.CoreV1().Events(f.Namespace).List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.kind=Pod,involvedObject.name=" + f.Pod})
		if err != nil {
			return err
		}
		counts := map[string]int{}
		for _, event := range list.Items {
			counts[event.Reason]++
		}
		for _, reason := range reasons {
			if counts[reason] != 1 {
				err = errors.Join(err, fmt.Errorf("%d events %s on the runner pod, want 1", counts[reason], reason))
			}
		}
		return err
	})
}

// prometheus is a server on this machine.
type prometheus struct{ address string }

// startPrometheus starts a Prometheus that scrapes the runner pod each second and
// has the chart's alerts.
func startPrometheus(t *testing.T, f *suite.Fixture) *prometheus {
	t.Helper()
	found, err := exec.CommandContext(t.Context(), filepath.Join(f.Root, "hack", "prometheus")).Output()
	if err != nil {
		t.Skipf("hack/prometheus has no Prometheus for this machine: %v", err)
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf(`
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [%s]
scrape_configs:
  - job_name: kiln
    static_configs:
      - targets: [%q]
        labels: {namespace: %q, pod: %q}
`, filepath.Join(f.Root, "charts", "kiln", "files", "alerts.yaml"), metricsAddress(t, f), f.Namespace, f.Pod)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &prometheus{address: freeAddress(t)}
	cmd := exec.CommandContext(t.Context(), filepath.Join(strings.TrimSpace(string(found)), "prometheus"),
		"--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+p.address, "--log.level=warn")
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	return p
}

// metricsAddress serves the pod's metrics on this machine, through the API server:
// the pod network may be out of reach.
func metricsAddress(t *testing.T, f *suite.Fixture) string {
	t.Helper()
	transport, err := rest.TransportFor(f.Config)
	if err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(f.Config.Host)
	if err != nil {
		t.Fatal(err)
	}
	path := fmt.Sprintf("/api/v1/namespaces/%s/pods/%s:9465/proxy/metrics", f.Namespace, f.Pod)
	proxy := httptest.NewServer(&httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.URL.Path = path
	}})
	t.Cleanup(proxy.Close)
	return proxy.Listener.Addr().String()
}

// freeAddress is an address of this machine that nobody listens at.
func freeAddress(t *testing.T) string {
	t.Helper()
	port, err := freeport.Find()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// dashboardQueries are the dashboard's, with its variables filled in.
func dashboardQueries(t *testing.T, f *suite.Fixture) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(f.Root, "charts", "kiln", "files", "dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(data, &dashboard); err != nil {
		t.Fatal(err)
	}
	var queries []string
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			queries = append(queries, strings.NewReplacer("$namespace", ".*", "$__rate_interval", "1m").Replace(target.Expr))
		}
	}
	if len(queries) == 0 {
		t.Fatal("the dashboard has no query")
	}
	return queries
}

// get asks the server's API.
func (p *prometheus) get(ctx context.Context, path string, answer any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.address+path, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var envelope struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.NewDecoder(response.Body).Decode(&envelope); err != nil {
		return fmt.Errorf("%s: %w", response.Status, err)
	}
	if envelope.Status != "success" {
		return fmt.Errorf("%s: %s", response.Status, envelope.Error)
	}
	return json.Unmarshal(envelope.Data, answer)
}

// query evaluates an expression and returns the values of its series.
func (p *prometheus) query(ctx context.Context, expression string) ([]string, error) {
	var answer struct {
		Result []struct{ Value [2]any }
	}
	if err := p.get(ctx, "/api/v1/query?query="+url.QueryEscape(expression), &answer); err != nil {
		return nil, err
	}
	var values []string
	for _, series := range answer.Result {
		values = append(values, fmt.Sprint(series.Value[1]))
	}
	return values, nil
}

// await waits until an expression has one series of that value.
func (p *prometheus) await(t *testing.T, expression, want string) {
	t.Helper()
	err := harness.Eventually(t.Context(), 30*time.Second, func(ctx context.Context) error {
		got, err := p.query(ctx, expression)
		if err == nil && (len(got) != 1 || got[0] != want) {
			err = fmt.Errorf("it is %v", got)
		}
		return err
	})
	if err != nil {
		t.Errorf("%s, want %s: %v", expression, want, err)
	}
}

// wantSoundRules fails the test unless every rule was evaluated without an error,
// and none of them fires.
func (p *prometheus) wantSoundRules(t *testing.T) {
	t.Helper()
	var answer struct {
		Groups []struct {
			Rules []struct{ Name, Health, LastError, State string }
		}
	}
	if err := p.get(t.Context(), "/api/v1/rules", &answer); err != nil {
		t.Fatal(err)
	}
	rules := 0
	for _, group := range answer.Groups {
		for _, rule := range group.Rules {
			rules++
			if rule.Health != "ok" || rule.State == "firing" {
				t.Errorf("rule %s is %s and %s: %s", rule.Name, rule.Health, rule.State, rule.LastError)
			}
		}
	}
	if rules == 0 {
		t.Error("Prometheus has no rules")
	}
}
