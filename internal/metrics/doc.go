// Package metrics counts what the daemon does, for Prometheus.
//
// A runner pod lives for one job, so a series that first shows at 1 and dies
// with its pod has no increase that anyone could see. Therefore:
//
//   - every label has a closed set of values, and every series is there, at
//     zero, from the start;
//   - OpenMetrics carries created timestamps;
//   - no label has a value that comes from a job.
//
// All methods are safe for concurrent use, and do nothing on a nil [Metrics],
// so that a test or a command that counts nothing needs none. A value that is
// outside of its closed set is counted as one of the set, never as a new
// series.
//
// The package has no global state: each [Metrics] has a registry of its own.
// It does not listen; [Metrics.Handler] is served by its caller.
package metrics
