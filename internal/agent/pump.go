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
	_, err := io.CopyBuffer(onlyWriter{to}, onlyReader{from}, buffer)
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

// pumpBuffer is read at once.
const pumpBuffer = 256 << 10

// buffered is how many bytes a pipe holds.
func buffered(pipe *os.File) (n int, err error) {
	raw, err := pipe.SyscallConn()
	if err != nil {
		return 0, err
	}
	err2 := raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.TIOCINQ) })
	return n, errors.Join(err, err2)
}

// Readers and writers with nothing but that, since copying between files would
// take ways that know nothing of deadlines.
type (
	onlyReader struct{ r io.Reader }
	onlyWriter struct{ w io.Writer }
)

// Read reads.
func (o onlyReader) Read(p []byte) (int, error) { return o.r.Read(p) }

// Write writes.
func (o onlyWriter) Write(p []byte) (int, error) { return o.w.Write(p) }
