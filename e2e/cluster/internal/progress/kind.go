package progress

import (
	"strings"

	"sigs.k8s.io/kind/pkg/log"
)

// KindLogger shows what kind says as lines of a Printer. Warnings and errors
// are always shown; information only at the level that kind's own command
// shows without -v.
type KindLogger struct{ Printer *Printer }

// Warn prints a warning.
func (l KindLogger) Warn(message string) { l.print("warning: " + message) }

// Warnf prints a warning.
func (l KindLogger) Warnf(format string, args ...any) { l.Printer.Printf("warning: "+format, args...) }

// Error prints an error.
func (l KindLogger) Error(message string) { l.print("error: " + message) }

// Errorf prints an error.
func (l KindLogger) Errorf(format string, args ...any) { l.Printer.Printf("error: "+format, args...) }

// V returns the logger of a level.
func (l KindLogger) V(level log.Level) log.InfoLogger {
	if level > 0 {
		return log.NoopInfoLogger{}
	}
	return infoLogger{l.Printer}
}

func (l KindLogger) print(message string) { l.Printer.Printf("%s", strings.TrimSpace(message)) }

type infoLogger struct{ printer *Printer }

// Info prints a line.
func (l infoLogger) Info(message string) { KindLogger{l.printer}.print(message) }

// Infof prints a line.
func (l infoLogger) Infof(format string, args ...any) {
	l.printer.Printf(strings.TrimSpace(format), args...)
}

// Enabled says that the lines are printed.
func (l infoLogger) Enabled() bool { return true }
