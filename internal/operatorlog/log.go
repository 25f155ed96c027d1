// Package operatorlog is the log that an operator reads: lines of JSON on
// standard error, each with a time in nanoseconds, none left out.
package operatorlog

import (
	"fmt"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// New returns the log from a level on: debug, info, warn or error. An unknown
// level is info, for a log that is too long serves better than none.
func New(level string) (*zap.Logger, error) {
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
