package suite

import (
	"context"
	"strings"
	"testing"
	"time"

	"kiln/e2e/harness"
)

// Ports of the daemon.
const (
	ReadyPort   = "9464"
	MetricsPort = "9465"
)

// Page asks the daemon for a page that it serves at a port.
func (f *Fixture) Page(ctx context.Context, port, page string) (string, error) {
	data, err := f.Kube.CoreV1().RESTClient().Get().Namespace(f.Namespace).
		Resource("pods").Name(f.Pod + ":" + port).SubResource("proxy").Suffix(page).DoRaw(ctx)
	return string(data), err
}

// WantMetrics fails the test unless the daemon exports the samples.
func (f *Fixture) WantMetrics(t *testing.T, samples ...string) {
	t.Helper()
	data, err := f.Page(t.Context(), MetricsPort, "metrics")
	if err != nil {
		t.Fatal(err)
	}
	for _, sample := range samples {
		if !strings.Contains(data, "\n"+sample+"\n") {
			t.Errorf("the metrics have no %s:\n%s", sample, data)
		}
	}
}

// Eventually fails the test unless what it asks answers nil within that time. See
// [harness.Eventually].
func (f *Fixture) Eventually(t *testing.T, within time.Duration, ask func(context.Context) error) {
	t.Helper()
	if err := harness.Eventually(t.Context(), within, ask); err != nil {
		t.Error(err)
	}
}
