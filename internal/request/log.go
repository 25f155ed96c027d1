package request

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"time"

	"kiln/internal/failure"
	"kiln/internal/hook"
)

// tokenPattern is a stop token: long enough that no build guesses it.
var tokenPattern = regexp.MustCompile(`^[0-9a-f]{32}$`)

// stepLog composes what the author of a step sees. Its methods are safe for
// concurrent use.
//
// What a build prints is shielded: inside ::stop-commands:: the runner
// executes no workflow command, so a Dockerfile cannot drive it (GitHub Docs,
// "Stopping and starting workflow commands").
type stepLog struct {
	mu       sync.Mutex
	w        io.Writer
	token    string
	shielded bool
	stopped  string    // the token with which an action stopped commands
	open     bool      // the last line has no end yet
	wrote    time.Time // when the last byte was
	err      error
}

// newStepLog returns a log over w with the shim's stop token.
func newStepLog(w io.Writer, token string) *stepLog {
	return &stepLog{w: w, token: token, wrote: time.Now()}
}

// Write passes p on as it is.
func (l *stepLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.writeLocked(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Line writes one line of kiln's own.
func (l *stepLog) Line(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lineLocked(fmt.Sprintf(format, args...))
}

// Shield opens a group and stops workflow commands until Unshield.
func (l *stepLog) Shield(title string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lineLocked("::group::" + oneLine(title))
	l.lineLocked("::stop-commands::" + l.token)
	l.shielded = true
}

// Unshield lets workflow commands through again and closes the group. Without
// a Shield it does nothing.
func (l *stepLog) Unshield() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.shielded {
		return
	}
	l.lineLocked("::" + l.token + "::")
	l.lineLocked("::endgroup::")
	l.shielded = false
}

// Error writes one ::error:: line, at the Dockerfile's line where that is
// known and the Dockerfile is the author's.
func (l *stepLog) Error(err error) {
	l.Unshield()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped != "" {
		l.lineLocked("::" + l.stopped + "::")
	}
	properties := ""
	if placed, ok := errors.AsType[*placedError](err); ok {
		properties = placed.place.properties()
	}
	l.lineLocked("::error" + properties + "::" + hook.EscapeData(authored(err)+" "+failure.Of(err).Mark()))
}

// Stopped says that an action left workflow commands stopped with token, ""
// for one that did not: only an error has to get past that.
func (l *stepLog) Stopped(token string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = token
}

// lineLocked writes text as a line of its own.
func (l *stepLog) lineLocked(text string) {
	if l.open {
		_ = l.writeLocked([]byte("\n"))
	}
	_ = l.writeLocked([]byte(text + "\n"))
}

// writeLocked writes p and keeps the first error.
func (l *stepLog) writeLocked(p []byte) error {
	if len(p) == 0 || l.err != nil {
		return l.err
	}
	l.open, l.wrote = p[len(p)-1] != '\n', time.Now()
	_, l.err = l.w.Write(p)
	return l.err
}

// Err returns the error that ended the log, if any.
func (l *stepLog) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// oneLine makes untrusted text fit one line.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
}
