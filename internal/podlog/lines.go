package podlog

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// headSize is how much of a line is held back to recognise it.
	headSize = 1 << 20
	// readSize is the size of the read buffer; a timestamp always fits.
	readSize = 64 << 10
	// foreignMax bounds what is told of text that is not part of the log.
	foreignMax = 1 << 10
)

// errCut says that a stream ended inside a timestamp or with text that is not
// part of the log: the kubelet appends the error that stopped it.
var errCut = errors.New("log stream was cut")

// lines turns several overlapping streams of one log into the log's bytes. Each
// line of a stream starts with a timestamp; each stream after the first begins
// at an earlier point than where the last one broke.
//
// What the kubelet does (kubernetes pkg/kubelet/kuberuntime/logs, since 1.32
// k8s.io/cri-client/pkg/logs/logs.go) decides the details:
//
//   - The runtime stores a long line in fragments (16 KiB with containerd), each
//     with its own time. The kubelet joins them again and writes a timestamp only
//     where a line begins, so what stands between two line feeds is one line, of
//     both output streams together.
//   - It leaves out fragments older than sinceTime. A stream can therefore begin
//     in the middle of a line, without a timestamp; that line was seen before.
//   - It serves the newest file. The runtime starts the new file in the middle of
//     a line when it can (containerd's loggers are replaced between two reads of
//     the pipe). So a line may end without a line feed in one stream and go on in
//     the next as if it were a new line, and a stream may begin with such a rest
//     of a line that was seen whole.
//   - Times are taken before the entries are written in order, so they can step
//     back a little; only the order in the file counts.
type lines struct {
	sink    Sink
	sinkErr error
	// headMax is headSize, except in tests.
	headMax int
	// progress is set when a stream brings anything new.
	progress bool
	// heard is set when a stream brings anything, new or not.
	heard bool
	// sent counts the bytes delivered; it may be read concurrently.
	sent atomic.Int64

	seen history
	// cursor is the position in seen up to which the present stream has
	// repeated what was delivered; replaying is false once it has brought
	// something new.
	cursor    int
	replaying bool

	// last is the time of the last line begun; zero before the first. lastNanos
	// is the same for other goroutines.
	last      time.Time
	lastNanos atomic.Int64
	// latest is the latest time of a line delivered, in nanoseconds.
	latest int64
	// sought is the line up to which an earlier process has delivered the log, until
	// it is found; nil for none.
	sought *Position
	// tail is a line that has begun and of which nothing was delivered.
	tail *tail
	// open is a long line that was delivered in part.
	open *openLine
	// held is a line at the beginning of a stream that may be the rest of one
	// that was delivered; what follows it tells.
	held *tail
	// atStart: no line of the stream was recognised yet.
	atStart bool
	// gap finds what was lost.
	gap gap

	// The line being read.
	at   time.Time
	head []byte
	mode lineMode
	// skip is how many further bytes of an open line were delivered before.
	skip int64
}

// tail is an unfinished short line.
type tail struct {
	at   time.Time
	head []byte
}

// openLine is an unfinished long line: its first headMax bytes as an entry, and
// how much of it was delivered.
type openLine struct {
	entry     entry
	delivered int64
}

// lineMode is what happens to the further bytes of a line.
type lineMode int

const (
	gather lineMode = iota // not yet recognised
	repeat                 // delivered before
	pass                   // new
)

func newLines(sink Sink) *lines {
	return &lines{sink: sink, headMax: headSize, gap: newGap()}
}

// begun notes the time of a line that is new.
func (l *lines) begun(at time.Time) {
	l.last = at
	l.lastNanos.Store(at.UnixNano())
}

// lastTime is the time of the last line begun, for any goroutine.
func (l *lines) lastTime() time.Time {
	if nanos := l.lastNanos.Load(); nanos != 0 {
		return time.Unix(0, nanos)
	}
	return time.Time{}
}

// read takes one stream to its end. nil is a clean end, which proves nothing.
func (l *lines) read(stream io.Reader, resumed bool) error {
	l.cursor, l.replaying, l.atStart, l.held, l.heard = 0, resumed, resumed, nil, false
	if l.sought != nil { // the stream before broke off too early
		l.seen.reset()
	}
	l.gap.opened(resumed)
	r := bufio.NewReaderSize(stream, readSize)
	for {
		more, err := l.line(r)
		if err != nil {
			return err
		}
		if !more {
			return l.acceptHeld()
		}
	}
}

// line reads one line. more is false at the end of the stream.
func (l *lines) line(r *bufio.Reader) (more bool, err error) {
	piece, err := r.ReadSlice('\n')
	if len(piece) == 0 && err == io.EOF {
		return false, nil
	}
	l.heard = l.heard || len(piece) > 0
	at, content, ok := cutTimestamp(piece)
	switch {
	case ok:
		l.begin(at)
	case l.replaying && (err == nil || errors.Is(err, bufio.ErrBufferFull)):
		l.mode = repeat // the rest of a line that began before since
	default:
		return false, cutBy(piece, err)
	}
	for ; ; piece, err = r.ReadSlice('\n') {
		if ok {
			piece, ok = content, false
		}
		if sinkErr := l.add(piece); sinkErr != nil {
			return false, sinkErr
		}
		switch {
		case err == nil:
			return true, l.end()
		case errors.Is(err, bufio.ErrBufferFull):
		case err == io.EOF:
			return false, l.cut()
		default:
			return false, errors.Join(l.cut(), fmt.Errorf("read log: %w", err))
		}
	}
}

// cutBy is the error for a stream that ends in something else than a line.
func cutBy(piece []byte, err error) error {
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
		return fmt.Errorf("read log: %w", err)
	}
	text := strings.Join(strings.Fields(string(piece[:min(len(piece), foreignMax)])), " ")
	return fmt.Errorf("%w: %s", errCut, strings.ToValidUTF8(text, "?"))
}

// cutTimestamp splits a line as the kubelet writes it: RFC 3339 with
// nanoseconds, a space, the content.
func cutTimestamp(line []byte) (at time.Time, content []byte, ok bool) {
	const longest = len("2006-01-02T15:04:05.000000000+00:00")
	stamp, _, found := bytes.Cut(line[:min(len(line), longest+1)], []byte{' '})
	if !found {
		return time.Time{}, nil, false
	}
	at, err := time.Parse(time.RFC3339Nano, string(stamp))
	if err != nil {
		return time.Time{}, nil, false
	}
	return at, line[len(stamp)+1:], true
}

// begin starts a line.
func (l *lines) begin(at time.Time) {
	l.at, l.head, l.mode, l.skip = at, l.head[:0], gather, 0
}

// add takes the next bytes of the line.
func (l *lines) add(p []byte) error {
	if l.mode == gather {
		n := min(len(p), l.headMax-len(l.head))
		l.head = append(l.head, p[:n]...)
		p = p[n:]
		if len(l.head) < l.headMax {
			return nil
		}
		if err := l.recognise(false); err != nil {
			return err
		}
	}
	if l.mode == repeat || len(p) == 0 {
		return nil
	}
	n := min(l.skip, int64(len(p)))
	l.skip -= n
	return l.deliver(p[n:])
}

// end finishes a line whose line feed was read.
func (l *lines) end() error {
	if l.mode == gather {
		if err := l.recognise(true); err != nil {
			return err
		}
	}
	if l.mode == pass {
		l.seen.add(l.open.entry)
		l.open = nil
	}
	return nil
}

// recognise decides, with the head of a line in hand, whether it is new.
func (l *lines) recognise(whole bool) error {
	e := entryOf(l.at, l.head)
	first := l.atStart
	l.atStart = false
	if l.sought != nil && l.seek(e) {
		l.mode = repeat
		return nil
	}
	if l.unfinished(l.at) {
		l.held = nil
		l.gap.joined()
	}
	if l.open != nil && l.open.entry == e {
		l.mode, l.skip, l.replaying = pass, l.open.delivered-int64(len(l.head)), false
		return nil
	}
	if l.replaying {
		if at := l.seen.find(e, l.cursor); at >= 0 {
			l.cursor, l.mode, l.held = at+1, repeat, nil
			l.gap.joined()
			return nil
		}
		if first && whole && l.seen.reaches(l.at) {
			l.mode, l.held = repeat, &tail{at: l.at, head: bytes.Clone(l.head)}
			return nil
		}
		l.replaying = false
	}
	if err := l.acceptHeld(); err != nil {
		return err
	}
	if err := l.dropTail(l.at); err != nil {
		return err
	}
	if err := l.mind(l.at); err != nil {
		return err
	}
	l.begun(l.at)
	l.mode = pass
	l.open = &openLine{entry: e}
	return l.deliver(l.head)
}

// unfinished reports whether the line that began at that time is known in part.
func (l *lines) unfinished(at time.Time) bool {
	return l.tail != nil && l.tail.at.Equal(at) || l.open != nil && l.open.entry.nanos == at.UnixNano()
}

// acceptHeld delivers the held line: it was new after all.
func (l *lines) acceptHeld() error {
	h := l.held
	if h == nil {
		return nil
	}
	l.held, l.replaying = nil, false
	if err := l.dropTail(h.at); err != nil {
		return err
	}
	if err := l.mind(h.at); err != nil {
		return err
	}
	l.begun(h.at)
	l.open = nil
	e := entryOf(h.at, h.head)
	l.seen.add(e)
	return l.send(h.head, l.after(e, l.seen.alike(e)))
}

// mind tells the sink, with nil, where lines may be missing before the new one
// that begins at at.
func (l *lines) mind(at time.Time) error {
	if !l.gap.follows(l.last, at) {
		return nil
	}
	l.sinkErr = l.sink(nil, Position{})
	return l.sinkErr
}

// dropTail settles an unfinished line when the line that begins at at follows:
// either this is that line, whole, or the tail stood at the end of a file that
// was rotated away.
func (l *lines) dropTail(at time.Time) error {
	t := l.tail
	l.tail = nil
	if t == nil || t.at.Equal(at) {
		return nil
	}
	return l.sendTail(t)
}

// sendTail delivers a line that nothing is known to follow.
func (l *lines) sendTail(t *tail) error {
	e := entryOf(t.at, t.head)
	return l.send(t.head, l.after(e, l.seen.alike(e)+1))
}

// cut ends a stream inside a line. What is known of the line already, in whole or
// in part, brings nothing; else it becomes the tail. The latest reading of a tail
// wins: an earlier one may have ended in an error text of the kubelet.
func (l *lines) cut() error {
	if l.mode != gather {
		return nil
	}
	if l.sought != nil && l.seek(entryOf(l.at, l.head)) {
		return nil
	}
	if l.open != nil && l.open.entry.nanos == l.at.UnixNano() {
		return nil
	}
	if l.replaying && l.seen.findTime(l.at, l.cursor) {
		return nil
	}
	if !l.unfinished(l.at) {
		if err := l.acceptHeld(); err != nil {
			return err
		}
	}
	if l.tail != nil && l.tail.at.Equal(l.at) && bytes.Equal(l.tail.head, l.head) {
		return nil
	}
	if err := l.dropTail(l.at); err != nil {
		return err
	}
	if err := l.mind(l.at); err != nil {
		return err
	}
	l.tail = &tail{at: l.at, head: bytes.Clone(l.head)}
	l.begun(l.at)
	l.progress = true
	return nil
}

// finish delivers a last line that has no line feed.
func (l *lines) finish() error {
	t := l.tail
	l.tail = nil
	if t == nil {
		return nil
	}
	return l.sendTail(t)
}

// deliver passes on bytes of the line being read.
func (l *lines) deliver(p []byte) error {
	l.open.delivered += int64(len(p))
	after := Position{}
	if bytes.HasSuffix(p, []byte{'\n'}) {
		after = l.after(l.open.entry, l.seen.alike(l.open.entry)+1)
	}
	return l.send(p, after)
}

// send gives bytes to the sink.
func (l *lines) send(p []byte, after Position) error {
	if len(p) == 0 {
		return nil
	}
	l.progress = true
	l.sent.Add(int64(len(p)))
	l.sinkErr = l.sink(p, after)
	return l.sinkErr
}
