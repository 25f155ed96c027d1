package podlog

import (
	"bytes"
	"time"
)

// logEntry is one line of a log file in the CRI format: a fragment of output,
// with the line feed that the runtime read, if it read one.
type logEntry struct {
	at   time.Time
	data []byte
}

// logFile is a container's log in order. rotated counts the entries of files
// that the kubelet has rotated away.
type logFile struct {
	entries []logEntry
	rotated int
}

// bytes is the log as the container wrote it.
func (f *logFile) bytes() []byte {
	var out bytes.Buffer
	for _, e := range f.entries {
		out.Write(e.data)
	}
	return out.Bytes()
}

// reader renders a log as the kubelet does with timestamps: one where a line
// begins, none before the further fragments of a line, and fragments older than
// since left out.
type reader struct {
	since   time.Time
	midLine bool
}

// render returns what the kubelet sends for one more entry.
func (r *reader) render(e logEntry) []byte {
	var out []byte
	if !e.at.Before(r.since) {
		if !r.midLine {
			out = e.at.AppendFormat(out, "2006-01-02T15:04:05.000000000Z07:00")
			out = append(out, ' ')
		}
		out = append(out, e.data...)
	}
	r.midLine = len(e.data) > 0 && e.data[len(e.data)-1] != '\n'
	return out
}

// stream renders the entries from the newest file up to end.
func (f *logFile) stream(since time.Time, end int) []byte {
	r := reader{since: since}
	var out []byte
	for _, e := range f.entries[f.rotated:end] {
		out = append(out, r.render(e)...)
	}
	return out
}

// write appends output as the runtime does: split at line feeds and into
// fragments of at most size bytes, one after each step of time.
func (f *logFile) write(start time.Time, step time.Duration, size int, output []byte) {
	at := start
	for _, line := range bytes.SplitAfter(output, []byte{'\n'}) {
		for len(line) > 0 {
			n := min(size, len(line))
			if n+1 == len(line) && line[n] == '\n' {
				n++
			}
			f.entries = append(f.entries, logEntry{at: at, data: line[:n]})
			line, at = line[n:], at.Add(step)
		}
	}
}
