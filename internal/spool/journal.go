package spool

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Journal keeps the last segment of a step's log in the state, with where the log is
// behind it. It is written before the segment is published: whatever a shim can have
// printed, the journal has or had, so that a daemon that was restarted publishes the
// same bytes once more and goes on behind them. A nil journal keeps nothing.
type Journal struct{ path string }

// Entry is what a journal holds.
type Entry struct {
	// Offset is the segment's, and Data are its bytes.
	Offset int64  `json:"offset"`
	Data   []byte `json:"-"`
	// Mark is where the log is at the offset Marked, which is not before an earlier
	// mark and not behind the segment's end; nil for none.
	Marked int64           `json:"marked"`
	Mark   json.RawMessage `json:"mark,omitempty"`
}

// end is the offset behind the segment.
func (e Entry) end() int64 { return e.Offset + int64(len(e.Data)) }

// Journal returns the journal of the request id, which was accepted.
func (s *State) Journal(id string) *Journal {
	return &Journal{path: filepath.Join(s.path, id, "log")}
}

// write replaces what the journal holds.
func (j *Journal) write(entry Entry, err error) error {
	if j == nil || err != nil {
		return err
	}
	head, err := json.Marshal(entry)
	if err != nil {
		return err
	}
	return replaceFile(j.path, append(append(head, '\n'), entry.Data...))
}

// Last returns what the journal holds; the zero entry is the beginning of a log.
func (j *Journal) Last() (Entry, error) {
	data, err := os.ReadFile(j.path)
	if errors.Is(err, fs.ErrNotExist) {
		return Entry{}, nil
	}
	var entry Entry
	if err == nil {
		head, rest, _ := bytes.Cut(data, []byte{'\n'})
		err = json.Unmarshal(head, &entry)
		entry.Data = rest
	}
	if err != nil {
		return Entry{}, fmt.Errorf("read how far the log has come: %w", err)
	}
	return entry, nil
}

// entryLocked is what is kept of the segment that the buffer holds.
func (l *Log) entryLocked() (Entry, error) {
	if l.journal == nil {
		return Entry{}, nil
	}
	mark, err := json.Marshal(l.mark)
	return Entry{Offset: l.offset, Data: l.buffer, Marked: l.marked, Mark: mark}, err
}

// replaceFile writes a file of the state whole or not at all.
func replaceFile(name string, data []byte) error {
	if err := os.WriteFile(name+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}
