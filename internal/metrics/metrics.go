package metrics

import (
	"net/http"
	"runtime"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"kiln/internal/failure"
)

// Options are what a Metrics is made of.
type Options struct {
	// Version is the daemon's.
	Version string
	// Restarts counts how often the daemon's worker was started again before
	// this process.
	Restarts int
	// MemoryLimit is what this process may use, in bytes; 0 is no limit.
	MemoryLimit int64
}

// Metrics are the recorders. The nil Metrics records nothing.
type Metrics struct {
	registry *prometheus.Registry

	requests  *counters
	builds    *counters
	wishes    *counters
	failures  *counters
	phases    *prometheus.HistogramVec
	context   prometheus.Histogram
	inFlight  prometheus.Gauge
	waiting   prometheus.Gauge
	denials   prometheus.Counter
	cleanup   prometheus.Counter
	valid     prometheus.Gauge
	watchMode *prometheus.GaugeVec

	kubernetes, registryCalls *counters
}

// phaseBuckets reach from a look-up to the limit of a build, in seconds.
func phaseBuckets() []float64 {
	return []float64{0.01, 0.05, 0.2, 0.5, 1, 2, 5, 15, 60, 180, 600, 1800}
}

// contextBuckets reach from a script to the default limit, in bytes.
func contextBuckets() []float64 { return prometheus.ExponentialBuckets(4<<10, 8, 7) }

// New returns recorders at zero.
func New(o Options) *Metrics {
	r := prometheus.NewRegistry()
	m := &Metrics{
		registry:      r,
		requests:      newCounters(r, "kiln_requests_total", "Container steps handed over by the hook, by what they ask for and how they ended.", label{"kind", kinds()}, label{"outcome", outcomes()}),
		builds:        newCounters(r, "kiln_builds_total", "Images that steps needed, by how the need was met.", label{"outcome", builds()}),
		wishes:        newCounters(r, "kiln_wishes_total", "Images that the job's actions may want, by what became of them before a step asked.", label{"outcome", wishes()}),
		failures:      newCounters(r, "kiln_failures_total", "Steps that failed, by reason.", label{"reason", texts(failure.Reasons()...)}),
		phases:        newPhases(r),
		kubernetes:    newCounters(r, "kiln_kubernetes_requests_total", "Requests to the Kubernetes API, by the answer's code.", label{"code", codes()}),
		registryCalls: newCounters(r, "kiln_registry_requests_total", "Requests of the daemon's own to registries, by the answer's code. Those of build pods are not among them.", label{"code", codes()}),
		context: register(r, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "kiln_context_bytes", Help: "Size of the build contexts, unpacked.", Buckets: contextBuckets(),
		})),
		inFlight:  newGauge(r, "kiln_requests_in_flight", "Steps that run or wait now."),
		waiting:   newGauge(r, "kiln_waiting_pods", "Build pods, action pods and pods of job containers that are created and do not run yet."),
		denials:   newCounter(r, "kiln_gate_denials_total", "Registry requests of build pods that the gate refused."),
		cleanup:   newCounter(r, "kiln_cleanup_errors_total", "Times that something a step had made could not be deleted."),
		valid:     newGauge(r, "kiln_config_valid", "1 while nothing is wrong with the daemon's settings and surroundings, else 0."),
		watchMode: newWatchMode(r),
	}
	m.describe(o)
	return m
}

// describe registers what stays as it is while the process lives.
func (m *Metrics) describe(o Options) {
	m.registry.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	newGauge(m.registry, "kiln_memory_limit_bytes", "Memory that the daemon's worker may use; 0 is no limit.").Set(float64(o.MemoryLimit))
	newCounter(m.registry, "kiln_worker_restarts_total", "Times that the daemon's worker ended by itself and was started again.").Add(float64(o.Restarts))
	info := register(m.registry, prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "kiln_build_info", Help: "1, with the version of the daemon.",
	}, []string{"version", "go_version"}))
	info.WithLabelValues(o.Version, runtime.Version()).Set(1)
}

// Handler serves the metrics, also as OpenMetrics with created timestamps.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		EnableOpenMetrics:                   true,
		EnableOpenMetricsTextCreatedSamples: true,
		MaxRequestsInFlight:                 4,
		Timeout:                             5 * time.Second,
	})
}

// Gatherer returns the registry for tests and tools that read it directly.
func (m *Metrics) Gatherer() prometheus.Gatherer { return m.registry }

// StepStarted counts a step that was handed over as in flight. The function
// it returns is called once, when the step has been answered.
func (m *Metrics) StepStarted() (answered func()) {
	if m == nil {
		return func() {}
	}
	m.inFlight.Inc()
	return m.inFlight.Dec
}

// StepEnded counts a step of a kind that ended with an exit code, or with err
// where kiln or the runner ended it.
func (m *Metrics) StepEnded(kind Kind, code int, err error) {
	if m == nil {
		return
	}
	outcome, reason := classify(code, err)
	m.requests.inc(string(kind), string(outcome))
	if outcome != StepSucceeded {
		m.failures.inc(string(reason))
	}
}

// classify tells how a step ended.
func classify(code int, err error) (Outcome, failure.Reason) {
	reason := failure.ActionFailed
	if err != nil {
		reason = failure.Of(err)
	}
	switch {
	case err == nil && code == 0:
		return StepSucceeded, ""
	case reason == failure.ActionFailed:
		return StepFailed, reason
	case reason == failure.Cancelled:
		return StepCancelled, reason
	case reason == failure.BadRequest:
		return StepRefused, reason
	default:
		return StepError, reason
	}
}

// BuildEnded counts an image that a step needed.
func (m *Metrics) BuildEnded(outcome Build) {
	if m != nil {
		m.builds.inc(string(outcome))
	}
}

// WishEnded counts a wish.
func (m *Metrics) WishEnded(outcome Wish) {
	if m != nil {
		m.wishes.inc(string(outcome))
	}
}

// PhaseEnded records how long a phase of a step took.
func (m *Metrics) PhaseEnded(phase Phase, took time.Duration) {
	if m != nil && slices.Contains(phases(), string(phase)) {
		m.phases.WithLabelValues(string(phase)).Observe(took.Seconds())
	}
}

// ContextRead records the size of a build context.
func (m *Metrics) ContextRead(bytes int64) {
	if m != nil {
		m.context.Observe(float64(bytes))
	}
}

// PodWaits counts a pod that was created. The function it returns is called
// once, when the pod runs or is given up.
func (m *Metrics) PodWaits() (over func()) {
	if m == nil {
		return func() {}
	}
	m.waiting.Inc()
	return m.waiting.Dec
}

// GateDenied counts one request that a gate refused.
func (m *Metrics) GateDenied() {
	if m != nil {
		m.denials.Inc()
	}
}

// CleanupFailed counts something that could not be deleted.
func (m *Metrics) CleanupFailed() {
	if m != nil {
		m.cleanup.Inc()
	}
}

// ConfigValid says whether anything is wrong with settings or surroundings.
func (m *Metrics) ConfigValid(valid bool) {
	if m != nil {
		m.valid.Set(number(valid))
	}
}

// Polling says whether the exchange is polled for want of inotify.
func (m *Metrics) Polling(polling bool) {
	if m == nil {
		return
	}
	m.watchMode.WithLabelValues("inotify").Set(number(!polling))
	m.watchMode.WithLabelValues("polling").Set(number(polling))
}

// number is a boolean as Prometheus has it.
func number(set bool) float64 {
	if set {
		return 1
	}
	return 0
}
