package operatorlog

import (
	"context"
	"errors"
	"slices"

	"github.com/go-logr/logr"
	"github.com/go-logr/zapr"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Kubernetes returns the log for client-go, a part of log. Of the level debug is
// what client-go calls an error because kiln itself ended a request:
// k8s.io/client-go/rest, as of v0.37, writes [unread] for each whose context ends
// behind the answer's header, with the context's cause. Whatever the reason is, the
// request's caller has it as its error too.
func Kubernetes(log *zap.Logger) logr.Logger {
	return zapr.NewLogger(log.Named("kubernetes").WithOptions(zap.WrapCore(
		func(core zapcore.Core) zapcore.Core { return cancellation{core} })))
}

// unread is the message about an answer that was not read to its end.
const unread = "Unexpected error when reading response body"

// cancellation is a core that lowers entries about cancelled contexts.
type cancellation struct{ zapcore.Core }

// With adds fields to the core below.
func (c cancellation) With(fields []zapcore.Field) zapcore.Core {
	return cancellation{c.Core.With(fields)}
}

// Check takes part in writing an entry that the core below takes.
func (c cancellation) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

// Write passes an entry on with the level that it deserves.
func (c cancellation) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	if entry.Message == unread || slices.ContainsFunc(fields, isCancelled) {
		entry.Level = zapcore.DebugLevel
	}
	if !c.Enabled(entry.Level) {
		return nil
	}
	return c.Core.Write(entry, fields)
}

// isCancelled reports whether a field is the error of a context that was
// cancelled.
func isCancelled(field zapcore.Field) bool {
	err, ok := field.Interface.(error)
	return ok && errors.Is(err, context.Canceled)
}
