package agent

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Grace is how long what a step left running may print after the step's end.
const Grace = 2 * time.Second

// pipeSize is what a pipe between a step and its reader holds: with the 64 KiB
// that it has at first, writer and reader take turns.
const pipeSize = 1 << 20

// newPipe makes a pipe for a step's output. The write end blocks, as a
// program's output does; everybody may open the pipe anew.
func newPipe() (read *os.File, write int, err error) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		return nil, -1, fmt.Errorf("make a pipe: %w", err)
	}
	// A user has a limit of what pipes may hold (pipe(7)); then it stays small.
	_, _ = unix.FcntlInt(uintptr(ends[0]), unix.F_SETPIPE_SZ, pipeSize)
	err = errors.Join(unix.Fchmod(ends[0], 0o666), unix.SetNonblock(ends[0], true))
	if err != nil {
		return nil, -1, errors.Join(fmt.Errorf("make a pipe: %w", err), unix.Close(ends[0]), unix.Close(ends[1]))
	}
	return os.NewFile(uintptr(ends[0]), "output"), ends[1], nil
}

// pump copies a step's output until nobody can write to it any more, or until
// [Grace] after ended is closed. Everything that was in the pipe then is copied
// too, so a reader that is slow loses nothing of what the step printed.
func pump(to io.Writer, from *os.File, ended <-chan struct{}) error {
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-ended:
			_ = from.SetReadDeadline(time.Now().Add(Grace))
		case <-done:
		}
	}()
	buffer := make([]byte, pumpBuffer)
	err := carry(to, from, buffer)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	left, err := buffered(from)
	if err != nil {
		return err
	}
	if err := from.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	_, err = io.CopyBuffer(onlyWriter{to}, io.LimitReader(from, int64(left)), buffer)
	return err
}

// pumpBuffer is read at once, and takenFrom where more than that can be taken.
const (
	pumpBuffer = 256 << 10
	takenFrom  = 32 << 10
)

// A Taker is an output that takes bytes out of a pipe by itself where it can, which
// costs less than to read and to write them.
type Taker interface {
	io.Writer
	// Take takes n bytes that the pipe holds, behind what was written before, and returns
	// how many it took: fewer where it cannot. The descriptor is valid during the call.
	Take(pipe, n int) (int, error)
}

// carry copies from a pipe to its end, or to an error. What it reads itself is the first
// and the last of a lot, so that an output which takes the rest sees how a line ended.
func carry(to io.Writer, from *os.File, buffer []byte) error {
	taker, takes := to.(Taker)
	for {
		piece := buffer
		if takes {
			piece = buffer[:takenFrom]
		}
		n, err := from.Read(piece)
		if n > 0 {
			if _, err := to.Write(piece[:n]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err == nil && takes && n == takenFrom:
			takes, err = take(taker, from)
		}
		if err != nil {
			return err
		}
	}
}

// take has all but the last byte taken of what the pipe holds, where that is much, and
// reports whether it is worth to be tried again.
func take(to Taker, from *os.File) (again bool, err error) {
	left, err := buffered(from)
	if err != nil || left <= takenFrom {
		return err == nil, err
	}
	raw, err := from.SyscallConn()
	if err != nil {
		return false, err
	}
	took := 0
	err2 := raw.Control(func(fd uintptr) { took, err = to.Take(int(fd), left-1) })
	return took > 0, errors.Join(err, err2)
}

// buffered is how many bytes a pipe holds.
func buffered(pipe *os.File) (n int, err error) {
	raw, err := pipe.SyscallConn()
	if err != nil {
		return 0, err
	}
	err2 := raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.TIOCINQ) })
	return n, errors.Join(err, err2)
}

// onlyWriter is a writer with nothing but that, since copying between files would take
// ways that know nothing of deadlines.
type onlyWriter struct{ w io.Writer }

// Write writes.
func (o onlyWriter) Write(p []byte) (int, error) { return o.w.Write(p) }
