package metrics

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// label is a label with its closed set of values. The last one stands for
// whatever is not in the set.
type label struct {
	name   string
	values []string
}

// counters is a counter for every combination of the values of its labels.
type counters struct {
	vector *prometheus.CounterVec
	labels []label
}

// newCounters returns counters at zero.
func newCounters(r *prometheus.Registry, name, help string, labels ...label) *counters {
	names := make([]string, 0, len(labels))
	for _, l := range labels {
		names = append(names, l.name)
	}
	c := &counters{
		vector: register(r, prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, names)),
		labels: labels,
	}
	c.initialise(nil)
	return c
}

// initialise makes every series that begins with the given values.
func (c *counters) initialise(values []string) {
	if len(values) == len(c.labels) {
		c.vector.WithLabelValues(values...)
		return
	}
	for _, value := range c.labels[len(values)].values {
		c.initialise(append(slices.Clone(values), value))
	}
}

// inc counts one event. A value outside of its set counts as the set's last.
func (c *counters) inc(values ...string) {
	for i, l := range c.labels {
		if !slices.Contains(l.values, values[i]) {
			values[i] = l.values[len(l.values)-1]
		}
	}
	c.vector.WithLabelValues(values...).Inc()
}

// newPhases returns a histogram for each phase.
func newPhases(r *prometheus.Registry) *prometheus.HistogramVec {
	vector := register(r, prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "kiln_phase_duration_seconds", Help: "How long the phases of steps took.", Buckets: phaseBuckets(),
	}, []string{"phase"}))
	for _, phase := range phases() {
		vector.WithLabelValues(phase)
	}
	return vector
}

// newWatchMode returns a gauge for each way to learn of requests.
func newWatchMode(r *prometheus.Registry) *prometheus.GaugeVec {
	vector := register(r, prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "kiln_watch_mode", Help: "1 for the way in which the daemon learns of requests: inotify, or polling where the kernel gives no inotify instance.",
	}, []string{"mode"}))
	for _, mode := range watchModes() {
		vector.WithLabelValues(mode)
	}
	return vector
}

func newGauge(r *prometheus.Registry, name, help string) prometheus.Gauge {
	return register(r, prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help}))
}

func newCounter(r *prometheus.Registry, name, help string) prometheus.Counter {
	return register(r, prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help}))
}

// register returns c, registered. Names are constants, so that a failure is a
// mistake in this package.
func register[C prometheus.Collector](r *prometheus.Registry, c C) C {
	r.MustRegister(c)
	return c
}
