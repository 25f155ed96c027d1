package steplog

import (
	"crypto/rand"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"time"

	"kiln/internal/hook"
)

// tokenPattern is a stop token: long enough that no build guesses it.
var tokenPattern = regexp.MustCompile(`^[0-9a-f]{32}$`)

// Log composes what the author of a step sees. Its methods are safe for
// concurrent use.
type Log struct {
	token string
	debug bool

	mu       sync.Mutex
	w        io.Writer
	shielded bool
	stopped  string    // the token with which an action stopped commands
	open     bool      // the last line has no end yet
	wrote    time.Time // when the last byte was
	err      error

	// What a daemon goes on from that is restarted; see Mark.
	output  Output
	partial bool // what was copied last has no place
	said    []uint64
	// What an earlier run of the daemon wrote: bytes of the output behind the mark,
	// and lines of kiln's own.
	behind int64
	again  map[uint64]int
}

// New returns a log over w. token is the shim's stop token; one that has not the
// form of 32 hexadecimal digits is replaced by one that nobody can guess. debug
// says that the author has switched debug logging on.
func New(w io.Writer, token string, debug bool) *Log {
	return &Log{w: w, token: stopToken(token), debug: debug, wrote: time.Now()}
}

// stopToken returns the shim's token, or one that no build can guess when the
// request's has not the right form.
func stopToken(token string) string {
	if tokenPattern.MatchString(token) {
		return token
	}
	return rand.Text()
}

// Debugging reports whether the author has switched debug logging on.
func (l *Log) Debugging() bool { return l.debug }

// Write passes p on as it is.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.writeLocked(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Line writes one line of kiln's own.
func (l *Log) Line(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if text := fmt.Sprintf(format, args...); l.newLocked(text) {
		l.lineLocked(text)
	}
}

// Debug writes a line for those who switched debug logging on: the names that
// an operator needs to look further.
func (l *Log) Debug(format string, args ...any) {
	if l.debug {
		l.Line("kiln: "+format, args...)
	}
}

// Shield opens a group and stops workflow commands until Unshield. It does nothing
// where that is so.
func (l *Log) Shield(title string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shielded {
		return
	}
	l.shielded = true
	l.lineLocked("::group::" + OneLine(title) + "\n::stop-commands::" + l.token)
}

// Unshield lets workflow commands through again and closes the group. Without
// a Shield it does nothing.
func (l *Log) Unshield() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.shielded {
		return
	}
	l.shielded = false
	l.lineLocked("::" + l.token + "::\n::endgroup::")
}

// Quote writes a text that is not kiln's in a group of its own, with workflow commands
// stopped. What an earlier run of the daemon has written of it is not written again, nor
// is it where it was complete, whatever it says now; one is told from another by its
// title.
func (l *Log) Quote(title string, text []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.newLocked("quote " + title) {
		return
	}
	end := "::" + l.token + "::\n::endgroup::\n"
	block := append([]byte("::group::"+OneLine(title)+"\n::stop-commands::"+l.token+"\n"), text...)
	if block[len(block)-1] != '\n' {
		block = append(block, '\n')
	}
	known := min(l.behind, int64(len(block)))
	l.behind, l.partial = 0, false
	block = append(block[known:], end...)
	if l.open && (known == 0 || len(block) == len(end)) {
		block = append([]byte("\n"), block...)
	}
	_ = l.writeLocked(block)
}

// Warning writes one ::warning:: line about a place in a file.
func (l *Log) Warning(at Place, text string) {
	l.Line("::warning%s::%s", at.properties(), hook.EscapeData(OneLine(at.String()+": "+text)))
}

// Error writes one ::error:: line, at the Dockerfile's line where that is
// known and the Dockerfile is the author's.
func (l *Log) Error(err error) {
	l.Unshield()
	l.mu.Lock()
	defer l.mu.Unlock()
	text := errorCommand(err)
	if !l.newLocked(text) {
		return
	}
	if l.stopped != "" {
		text = "::" + l.stopped + "::\n" + text
	}
	l.lineLocked(text)
}

// Stopped says that an action left workflow commands stopped with token, ""
// for one that did not: only an error has to get past that.
func (l *Log) Stopped(token string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = token
}

// lineLocked writes text as a line of its own.
func (l *Log) lineLocked(text string) {
	if l.open {
		text = "\n" + text
	}
	_ = l.writeLocked([]byte(text + "\n"))
}

// writeLocked writes p and keeps the first error.
func (l *Log) writeLocked(p []byte) error {
	if len(p) == 0 || l.err != nil {
		return l.err
	}
	l.open, l.wrote = p[len(p)-1] != '\n', time.Now()
	if w, ok := l.w.(marker); ok {
		_, l.err = w.WriteMarked(p, l.markLocked())
	} else {
		_, l.err = l.w.Write(p)
	}
	return l.err
}

// Err returns the error that ended the log, if any.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// OneLine makes untrusted text fit one line.
func OneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
}
