package imagebuild

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"kiln/internal/buildinit"
	"kiln/internal/kaniko"
	"kiln/internal/podlog"
	"kiln/internal/podrun"
	"kiln/internal/preflight"
	"kiln/internal/steplog"
)

// saying is something that Kaniko's log says at most once.
type saying int

const (
	input saying = iota // its first process sees something come
	begin               // it has unpacked the context
	lack                // the image will lack files
	push                // it has pushed the image; a RUN can say so too, which costs no more than the last lines of the log
	end                 // the log has ended
	sayings
)

// kanikoLog shows Kaniko's log to the author, as steps or, for debugging, as
// it is, and keeps its end. Its methods are safe for concurrent use; follow is
// called once.
type kanikoLog struct {
	log  *steplog.Log
	pod  string      // its UID
	says chan saying // has room for all

	mu        sync.Mutex
	read      kaniko.Log
	progress  *kaniko.Progress
	line      []byte // the piece of a line that has not ended
	heard     [sayings]bool
	lacksLine int
	closed    bool
	broken    bool // the log cannot be read
	at        podlog.Position
	clock     nodeClock
	// shown is how far an earlier run of the daemon has shown the log: until then it is
	// read again, for what is known of it. Zero where that is over, or was never.
	shown podlog.Position
	// early says that what came before the first line that is read is of no interest: there
	// was nothing, or an earlier run of the daemon has shown it.
	early bool
}

// newKanikoLog returns the log of the pod with that UID, which is shown in log to a step
// in that role.
func newKanikoLog(log *steplog.Log, stages []preflight.Stage, pod types.UID, as role) *kanikoLog {
	shown, _ := log.Reached(string(pod))
	return &kanikoLog{
		log:      log,
		pod:      string(pod),
		shown:    shown,
		early:    as != follower,
		says:     make(chan saying, sayings),
		read:     kaniko.NewLog(stages),
		progress: kaniko.NewProgress(stages),
	}
}

// tellLocked says what once.
func (k *kanikoLog) tellLocked(what saying) {
	if !k.heard[what] {
		k.heard[what] = true
		k.says <- what
	}
}

// said reports whether the log has said that.
func (k *kanikoLog) said(what saying) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.heard[what]
}

// whole reports whether the log has ended, and was read to its end.
func (k *kanikoLog) whole() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.heard[end] && !k.broken
}

// follow shows what read passes to its sink.
func (k *kanikoLog) follow(read func(sink podlog.Sink) error) {
	err := read(k.sink)
	k.mu.Lock()
	defer k.mu.Unlock()
	defer k.tellLocked(end)
	if len(k.line) > 0 && !k.closed {
		k.showLocked(string(k.line))
	}
	if err != nil && !k.closed && !errors.Is(err, context.Canceled) && !errors.Is(err, podrun.ErrGone) {
		k.broken = true
		k.log.Line("kiln: the build's log cannot be read any further: %s", steplog.OneLine(err.Error()))
	}
}

// errClosed ends the reading of a log that nobody wants any more.
var errClosed = errors.New("the build's log is closed")

// close makes sure that nothing more is shown: what a build prints must not
// come after the shield around it has ended.
func (k *kanikoLog) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
}

// finish ends the last step of a build that is done, and closes the log.
func (k *kanikoLog) finish() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if done := k.progress.Done(k.clock.now()); !k.log.Debugging() && !k.closed && len(done) > 0 {
		k.log.Once("the last step of "+k.pod, strings.Join(done, "\n"))
	}
	k.closed = true
}

// now returns the step that is being built and since when, "" for none.
func (k *kanikoLog) now() (title string, since time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	title, since = k.progress.Now()
	return title, k.clock.here(since)
}

// steps is how many steps were shown.
func (k *kanikoLog) steps() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.progress.Steps()
}

// instructionLine is the line in the Dockerfile of the instruction that is
// being built, or 0.
func (k *kanikoLog) instructionLine() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.progress.InstructionLine()
}

// failure explains why the build ended with exitCode.
func (k *kanikoLog) failure(exitCode int32, oomKilled bool) kaniko.Failure {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.read.Failure(exitCode, oomKilled)
}

// instruction is the instruction that was begun last.
func (k *kanikoLog) instruction() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.read.Instruction
}

// missing explains what the image will lack, and over which line.
func (k *kanikoLog) missing() (why kaniko.Failure, line int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	why, _ = k.read.Incomplete()
	return why, k.lacksLine
}

// sink takes a line, or a piece of a long one.
func (k *kanikoLog) sink(chunk []byte, after podlog.Position) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return errClosed
	}
	if chunk == nil {
		if !k.early {
			k.log.Line(missingLines)
		}
		return k.log.Err()
	}
	if k.early = false; k.shown != (podlog.Position{}) && after.At > k.shown.Latest {
		k.shown = podlog.Position{} // the line that was shown last is gone
		k.log.Line(missingLines)
	}
	k.at = after
	k.line = append(k.line, chunk...)
	if !bytes.HasSuffix(chunk, []byte("\n")) && len(k.line) < maxLine {
		return nil
	}
	k.showLocked(string(bytes.TrimRight(k.line, "\r\n")))
	k.line = k.line[:0]
	if after.Same(k.shown) {
		k.shown = podlog.Position{}
	}
	return k.log.Err()
}

// missingLines is said where lines were lost.
const missingLines = "kiln: lines of the build's log may be missing here: the node rotated it before it was read"

// maxLine bounds a line of build output; a longer one is broken.
const maxLine = 64 << 10

// showLocked prints what the author is to see of one line.
func (k *kanikoLog) showLocked(line string) {
	if line == buildinit.InputLine {
		k.tellLocked(input)
		return
	}
	now := k.clock.of(k.at)
	var steps []string
	for _, kept := range k.read.Line(line) {
		steps = append(steps, k.progress.Line(kept, now)...)
	}
	if k.log.Debugging() {
		steps = []string{kaniko.Translate(line)}
	}
	k.printLocked(steps)
	if k.read.Begun {
		k.tellLocked(begin)
	}
	if k.read.Skipped != "" {
		if !k.heard[lack] {
			k.lacksLine = k.progress.InstructionLine()
		}
		k.tellLocked(lack)
	}
	if k.read.Pushed {
		k.tellLocked(push)
	}
}

// printLocked prints the lines that were made of the last one, unless an earlier run of
// the daemon has: all of them or none.
func (k *kanikoLog) printLocked(lines []string) {
	if len(lines) == 0 || k.shown != (podlog.Position{}) {
		return
	}
	place := steplog.Output{}
	if k.at != (podlog.Position{}) {
		place = steplog.Output{Pod: k.pod, At: k.at}
	}
	_, _ = k.log.Copy([]byte(strings.Join(lines, "\n")+"\n"), place) // its error stays
}
