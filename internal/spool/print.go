package spool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
)

// Print writes to w what the daemon has published and was not printed before,
// and deletes it. The error is the exchange's or w's.
//
// A scan beside the writer can show a segment and miss an older one; a scan
// that begins after that cannot. So only a gap that two scans find is one.
func (d *Draft) Print(w io.Writer) error {
	for before := int64(-1); ; {
		next, err := d.printScan(w)
		if err != nil || next == d.printed {
			return err
		}
		if before == d.printed {
			return fmt.Errorf("the step's log misses the bytes %d to %d", d.printed, next)
		}
		before = d.printed
	}
}

// printScan prints the segments of one scan up to the first gap. It returns
// the offset behind the gap, or that of the next byte when there is none.
func (d *Draft) printScan(w io.Writer) (int64, error) {
	dir := path.Join(dirResponses, d.ID)
	names, err := readNames(d.exchange.root, dir)
	if err != nil {
		return 0, fmt.Errorf("read log: %w", err)
	}
	slices.Sort(names)
	for _, name := range names {
		offset, ok := segmentOffset(name)
		if !ok {
			continue
		}
		if offset > d.printed {
			return offset, nil
		}
		if err := d.printSegment(w, path.Join(dir, name), offset); err != nil {
			return 0, err
		}
	}
	return d.printed, nil
}

// printSegment writes the part of one segment that is new, and deletes it. A
// segment that a restarted daemon is about to write again is left for later.
func (d *Draft) printSegment(w io.Writer, name string, offset int64) error {
	file, err := openPlain(d.exchange.root, name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errChanged) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	defer file.Close()
	if _, err := file.Seek(d.printed-offset, io.SeekStart); err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	n, err := io.Copy(w, file)
	d.printed += n
	if err != nil {
		return fmt.Errorf("print log: %w", err)
	}
	_ = d.exchange.root.Remove(name) // a segment that stays is skipped by its offset
	return nil
}

// Result returns the daemon's result once it is there and the whole log was
// printed to w. The error says that there will be none: the log has a hole,
// or the request was taken out of the exchange by somebody else.
func (d *Draft) Result(w io.Writer) (Result, bool, error) {
	result, ok, err := d.Answered()
	if err != nil {
		return Result{}, false, err
	}
	if !ok {
		return Result{}, false, d.pending(w)
	}
	if err := d.Print(w); err != nil {
		return Result{}, false, err
	}
	if d.printed < result.LogBytes {
		return Result{}, false, fmt.Errorf("the step's log ends after %d of %d bytes", d.printed, result.LogBytes)
	}
	return result, true, nil
}

// pending prints the log while there is no result.
func (d *Draft) pending(w io.Writer) error {
	if err := d.Print(w); err != nil || !d.dropped {
		return err
	}
	_, err := d.exchange.root.Lstat(path.Join(dirRequests, d.ID))
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("the request was removed from the exchange before it was answered")
	}
	return nil
}
