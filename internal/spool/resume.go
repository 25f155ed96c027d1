package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
)

// Keep has the journal keep the log from now on. A claim of [Exchange.Resume] has one.
func (c *Claim) Keep(journal *Journal) { c.Log.journal = journal }

// Resume opens for answering a request that an earlier run of the daemon had begun to
// answer: its log goes on behind what the journal has. Errors are those of
// [Exchange.Claim].
func (e *Exchange) Resume(id string, backlog int64, journal *Journal) (*Claim, error) {
	last, err := journal.Last()
	if err != nil {
		return nil, err
	}
	claim, err := e.open(id, backlog, e.keepResponse)
	if err != nil {
		return nil, err
	}
	claim.Resumed, claim.Mark, claim.Behind = true, last.Mark, last.end()-last.Marked
	claim.Open = len(last.Data) > 0 && last.Data[len(last.Data)-1] != '\n'
	claim.Log.resume(journal, last)
	if err := claim.Log.Flush(); err != nil {
		claim.Close()
		return nil, fmt.Errorf("go on with the log of request %s: %w", id, err)
	}
	return claim, nil
}

// keepResponse opens the answer that an earlier run began, or makes a new one where
// there is none.
func (e *Exchange) keepResponse(id string) (*os.Root, error) {
	name := path.Join(dirResponses, id)
	if _, err := readPlain(e.root, path.Join(name, fileResult), maxResultBytes); err == nil {
		return nil, ErrAnswered
	}
	response, err := openDir(e.root, name)
	if err != nil {
		return e.makeResponse(id)
	}
	return response, nil
}

// resume lets the log go on behind an entry of its journal. Segments before it that
// were not printed wait.
func (l *Log) resume(journal *Journal, last Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.journal, l.offset, l.buffer = journal, last.Offset, last.Data
	l.marked, l.behind = last.Marked, last.Marked < last.end()
	if last.Mark != nil {
		l.mark = last.Mark
	}
	names, err := listNames(l.dir)
	if err != nil {
		return
	}
	slices.Sort(names)
	for _, name := range names {
		offset, ok := segmentOffset(name)
		info, err := l.dir.Lstat(name)
		if ok && err == nil && info.Mode().IsRegular() && offset < last.Offset {
			l.waiting = append(l.waiting, segment{name: name, size: info.Size()})
			l.backlog += info.Size()
		}
	}
}

// takeReserve opens the space that an earlier run took for the result, or takes it.
func takeReserve(response *os.Root) *os.File {
	info, err := response.Lstat(fileReserve)
	if err == nil && info.Mode().IsRegular() {
		return openReserve(response)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return reserve(response)
}
