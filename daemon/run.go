package main

import (
	"context"
	"fmt"
	"os"
	"strconv"

	"go.uber.org/zap"
	"k8s.io/klog/v2"

	"kiln/internal/app"
	"kiln/internal/config"
	"kiln/internal/metrics"
	"kiln/internal/operatorlog"
	"kiln/internal/supervisor"
)

// workerName is the hidden command that run starts again and again.
const workerName = supervisor.Worker

// runCommand is the sidecar: it supervises the worker, which has the same
// settings.
type runCommand struct {
	workerCommand `embed:""`
}

// Run supervises until the process is told to stop.
func (c *runCommand) Run(arguments []string) error { return supervise(arguments, c.LogLevel) }

// supervise keeps a worker going that has the arguments of `kilnd run`.
func supervise(arguments []string, level string) error {
	log, err := operatorlog.New(level)
	if err != nil {
		return err
	}
	defer func() { _ = log.Sync() }()
	own, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the worker's program: %w", err)
	}
	supervisor.Sidecar(own, arguments[1:], log)
	return nil
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
	log, err := operatorlog.New(c.LogLevel)
	if err != nil {
		return err
	}
	defer func() { _ = log.Sync() }()
	klog.SetLogger(operatorlog.Kubernetes(log))
	log.Info("starting", zap.String("version", version), zap.Any("settings", c.Settings))
	restarts, _ := strconv.Atoi(os.Getenv(supervisor.EnvRestarts)) // unset without a supervisor
	counted := metrics.New(metrics.Options{Version: version, Restarts: restarts, MemoryLimit: supervisor.DataLimit()})
	return app.New(app.Options{Settings: &c.Settings, Broken: broken, Metrics: counted, Log: log}).Run(ctx)
}
