package main

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/go-logr/zapr"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"

	"kiln/internal/app"
	"kiln/internal/config"
	"kiln/internal/metrics"
	"kiln/internal/supervisor"
)

// workerName is the hidden command that run starts again and again.
const workerName = "worker"

// runCommand is the sidecar: it supervises the worker, which has the same
// settings.
type runCommand struct {
	workerCommand `embed:""`
}

// Run supervises until the process is told to stop.
func (c *runCommand) Run(arguments []string) error { return supervise(arguments, c.LogLevel) }

// supervise keeps a worker going that has the arguments of `kilnd run`. Whether
// they can be used is for the worker to tell.
func supervise(arguments []string, level string) error {
	log, err := newLogger(level)
	if err != nil {
		return err
	}
	defer func() { _ = log.Sync() }()
	own, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the worker's program: %w", err)
	}
	o := supervisor.Defaults()
	o.Log = log.Named("supervisor")
	o.Limits = memoryLimits(o.Log)
	o.Command = append([]string{own, workerName}, arguments[1:]...)
	debug.FreeOSMemory() // this process only waits from here on
	supervisor.Run(o)
	return nil
}

// memoryLimits keep the worker below the limit of its container.
func memoryLimits(log *zap.Logger) supervisor.Limits {
	container, err := memlimit.FromCgroup()
	if err != nil {
		log.Info("the worker's memory is not limited", zap.Error(err))
		return supervisor.Limits{}
	}
	limits, err := supervisor.LimitsOf(container)
	if err != nil {
		log.Warn("the worker's memory is not limited", zap.Error(err))
	}
	return limits
}

// workerCommand serves the exchange.
type workerCommand struct {
	config.Settings `embed:""`
	LogLevel        string `help:"debug, info, warn or error." default:"info" env:"KILN_LOG_LEVEL"`
}

// Run serves until ctx ends.
func (c *workerCommand) Run(ctx context.Context) error { return c.serve(ctx, nil) }

// broken serves settings that could not be parsed: the defaults stand in
// where serving needs them.
func (c *workerCommand) broken(ctx context.Context, cause error) error {
	for _, fallback := range []struct {
		value       *string
		env, normal string
	}{
		{&c.Exchange, "KILN_EXCHANGE", "/var/run/kiln"},
		{&c.State, "KILN_STATE", "/var/lib/kiln"},
		{&c.Listen, "KILN_LISTEN", ":9464"},
		{&c.MetricsListen, "KILN_METRICS_LISTEN", ":9465"},
	} {
		*fallback.value = fallback.normal
		if value := os.Getenv(fallback.env); value != "" {
			*fallback.value = value
		}
	}
	return c.serve(ctx, fmt.Errorf("the settings of the kiln container are wrong: %w", cause))
}

// serve runs the daemon.
func (c *workerCommand) serve(ctx context.Context, broken error) error {
	log, err := newLogger(c.LogLevel)
	if err != nil {
		return err
	}
	defer func() { _ = log.Sync() }()
	klog.SetLogger(zapr.NewLogger(log.Named("kubernetes")))
	log.Info("starting", zap.String("version", version), zap.Any("settings", c.Settings))
	restarts, _ := strconv.Atoi(os.Getenv(supervisor.EnvRestarts)) // unset without a supervisor
	counted := metrics.New(metrics.Options{Version: version, Restarts: restarts, MemoryLimit: supervisor.DataLimit()})
	return app.New(app.Options{Settings: &c.Settings, Broken: broken, Metrics: counted, Log: log}).Run(ctx)
}

// newLogger returns the operator's log: JSON lines on stderr. An unknown
// level is info, for a log that is too long serves better than none.
func newLogger(level string) (*zap.Logger, error) {
	settings := zap.NewProductionConfig()
	settings.Sampling = nil
	settings.DisableStacktrace = true
	settings.EncoderConfig.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	if parsed, err := zapcore.ParseLevel(level); err == nil {
		settings.Level = zap.NewAtomicLevelAt(parsed)
	}
	log, err := settings.Build()
	if err != nil {
		return nil, fmt.Errorf("make log: %w", err)
	}
	return log, nil
}
