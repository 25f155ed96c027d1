package repo_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"kiln/internal/metrics"
)

// prometheusTool runs one of Prometheus's programs, or skips the test where they
// cannot be had.
func prometheusTool(t *testing.T, args ...string) {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), filepath.Join(root, "hack", "prometheus")).Output()
	if err != nil {
		t.Skipf("hack/prometheus has no promtool for this machine: %v", err)
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(strings.TrimSpace(string(dir)), "promtool"), args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// TestAlerts has promtool check the alert rules and run their unit tests.
func TestAlerts(t *testing.T) {
	prometheusTool(t, "check", "rules", filepath.Join(chart, "files", "alerts.yaml"))
	prometheusTool(t, "test", "rules", filepath.Join("testdata", "alerts.yaml"))
}

// TestQueriesNameMetrics wants every series of the alerts and the dashboard to be one
// that kilnd has.
func TestQueriesNameMetrics(t *testing.T) {
	known := map[string]bool{}
	families, err := metrics.New(metrics.Options{}).Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		known[family.GetName()] = true
	}
	series := regexp.MustCompile(`\b(kiln|process)_[a-z_]+`)
	for _, name := range []string{"alerts.yaml", "dashboard.json"} {
		data, err := os.ReadFile(filepath.Join(chart, "files", name))
		if err != nil {
			t.Fatal(err)
		}
		if name == "dashboard.json" && !json.Valid(data) {
			t.Error("dashboard.json is no JSON")
		}
		found := series.FindAllString(string(data), -1)
		if len(found) == 0 {
			t.Errorf("%s has no query", name)
		}
		for _, metric := range found {
			base := strings.TrimSuffix(strings.TrimSuffix(metric, "_bucket"), "_count")
			if !known[metric] && !known[base] {
				t.Errorf("%s: kilnd has no metric %s", name, metric)
			}
		}
	}
}
