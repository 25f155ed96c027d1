package main

import (
	"context"
	"fmt"
	"os"

	"github.com/go-logr/zapr"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"

	"kiln/internal/app"
	"kiln/internal/config"
	"kiln/internal/metrics"
)

// runCommand is the sidecar.
type runCommand struct {
	config.Settings `embed:""`
	LogLevel        string `help:"debug, info, warn or error." default:"info" env:"KILN_LOG_LEVEL"`
}

// Run serves until ctx ends.
func (c *runCommand) Run(ctx context.Context) error { return c.serve(ctx, nil) }

// broken serves settings that could not be parsed: the defaults stand in
// where serving needs them.
func (c *runCommand) broken(ctx context.Context, cause error) error {
	for _, fallback := range []struct {
		value       *string
		env, normal string
	}{
		{&c.Exchange, "KILN_EXCHANGE", "/var/run/kiln"},
		{&c.Memory, "KILN_MEMORY", "/var/lib/kiln"},
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
func (c *runCommand) serve(ctx context.Context, broken error) error {
	log, err := newLogger(c.LogLevel)
	if err != nil {
		return err
	}
	defer func() { _ = log.Sync() }()
	klog.SetLogger(zapr.NewLogger(log.Named("kubernetes")))
	log.Info("starting", zap.String("version", version), zap.Any("settings", c.Settings))
	daemon, err := app.New(app.Options{Settings: &c.Settings, Broken: broken, Metrics: metrics.New(metrics.Options{Version: version}), Log: log})
	if err != nil {
		return err
	}
	return daemon.Run(ctx)
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
