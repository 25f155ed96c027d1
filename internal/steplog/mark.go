package steplog

import (
	"hash/fnv"

	"kiln/internal/podlog"
)

// Mark is where a log is: what the log of a daemon goes on from that was restarted.
type Mark struct {
	// Token is the stop token, and Shielded says that it stops commands. Stopped is
	// the token with which the action stopped them.
	Token    string `json:"token"`
	Shielded bool   `json:"shielded,omitempty"`
	Stopped  string `json:"stopped,omitempty"`
	// Output is how far the output of a container was written.
	Output Output `json:"output"`
	// Said are kiln's own lines so far, hashed, up to maxSaid.
	Said []uint64 `json:"said,omitempty"`
}

// Output is a place in the output of a container.
type Output struct {
	// Pod is the UID of its pod.
	Pod string `json:"pod,omitempty"`
	// At is a position in the container's log.
	At podlog.Position `json:"at"`
}

// maxSaid bounds how many of kiln's own lines are remembered. A step has some dozens.
const maxSaid = 500

// marker is a writer that keeps over a restart where its log is; see
// [kiln/internal/spool.Log].
type marker interface {
	WriteMarked(p []byte, mark any) (int, error)
	Flush() error
}

// Earlier is what an earlier run of the daemon wrote of a log.
type Earlier struct {
	// Mark is where the log was Behind bytes before its end.
	Mark   Mark
	Behind int64
	// Open says that its last line has no end.
	Open bool
}

// Resume lets the log go on behind what an earlier run of the daemon wrote. A line of
// kiln's own that was written then is not written again.
func (l *Log) Resume(earlier Earlier) {
	l.mu.Lock()
	defer l.mu.Unlock()
	mark := earlier.Mark
	if mark.Token != "" {
		l.token = mark.Token
	}
	l.shielded, l.stopped, l.output, l.said = mark.Shielded, mark.Stopped, mark.Output, mark.Said
	l.behind, l.partial, l.open = earlier.Behind, earlier.Behind > 0, earlier.Open
	l.again = map[uint64]int{}
	for _, line := range mark.Said {
		l.again[line]++
	}
}

// Reached returns how far an earlier run of the daemon wrote the output of a container
// of the pod with that UID, and with which token it had stopped commands; zero for not
// at all.
func (l *Log) Reached(pod string) (at podlog.Position, stopped string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if pod == "" || l.output.Pod != pod {
		return podlog.Position{}, ""
	}
	return l.output.At, l.stopped
}

// Copy passes on what a container printed, or what was made of that; where it ends a
// line, at is the place behind it, and else zero.
func (l *Log) Copy(p []byte, at Output) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	size := len(p)
	known := min(l.behind, int64(size))
	l.behind -= known
	if l.partial = at == (Output{}); !l.partial {
		l.output = at
	}
	if err := l.writeLocked(p[known:]); err != nil {
		return 0, err
	}
	return size, nil
}

// Flush publishes what was written: what is kept after it says no more of the step than
// its log does.
func (l *Log) Flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w, ok := l.w.(marker); ok && l.err == nil {
		l.err = w.Flush()
	}
}

// Once is Line for a line that is written once in a step, whatever it says.
func (l *Log) Once(key, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.newLocked(key) {
		l.lineLocked(text)
	}
}

// newLocked remembers a line of kiln's own, by its text or another key, and reports
// whether an earlier run of the daemon has not written it.
func (l *Log) newLocked(key string) bool {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(key))
	line := hash.Sum64()
	if l.again[line] > 0 {
		l.again[line]--
		return false
	}
	if len(l.said) < maxSaid {
		l.said = append(l.said, line)
	}
	return true
}

// markLocked is where the log is; nil where it is within what a container printed.
func (l *Log) markLocked() any {
	if l.partial {
		return nil
	}
	return &Mark{Token: l.token, Shielded: l.shielded, Stopped: l.stopped, Output: l.output, Said: l.said}
}
