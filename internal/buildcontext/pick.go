package buildcontext

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
)

// Pick writes those entries of a context that [Canonical] wrote whose paths keep has,
// as Canonical would write a context of those alone: the same entries give the same
// bytes, whatever stands beside them in src. It is an error when the directory of an
// entry is not kept.
func Pick(dst io.Writer, src io.Reader, keep map[string]bool) (Summary, error) {
	in, err := gzip.NewReader(src)
	if err != nil {
		return Summary{}, fmt.Errorf("read context: %w", err)
	}
	gz, err := gzip.NewWriterLevel(dst, gzip.BestSpeed)
	if err != nil {
		return Summary{}, fmt.Errorf("write context: %w", err)
	}
	// What is read is within limits, so its part is.
	a := newArchive(gz, Limits{Bytes: math.MaxInt64, Entries: math.MaxInt})
	a.prefix = Dir + "/"
	if err := a.root(); err != nil {
		return Summary{}, err
	}
	if err := a.pick(tar.NewReader(in), keep); err != nil {
		return Summary{}, err
	}
	// The tar ends before the checksum of what it is compressed in.
	if _, err := io.Copy(io.Discard, in); err != nil {
		return Summary{}, fmt.Errorf("read context: %w", err)
	}
	sum, err := a.close()
	if err != nil {
		return Summary{}, err
	}
	if err := gz.Close(); err != nil {
		return Summary{}, fmt.Errorf("write context: %w", err)
	}
	return sum, nil
}

// pick adds what is kept.
func (a *archive) pick(in *tar.Reader, keep map[string]bool) error {
	var previous entry
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read context: %w", err)
		}
		h.Name = strings.TrimPrefix(h.Name, Dir+"/")
		if !keep[strings.TrimSuffix(h.Name, "/")] {
			continue
		}
		e, err := readEntry(h)
		if err != nil {
			return err
		}
		if reason := misplaced(previous, e); reason != "" {
			return inputError(e.path, "%s", reason)
		}
		if err := a.add(e, in); err != nil {
			return err
		}
		previous = e
	}
}
