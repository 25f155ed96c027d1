// Command kiln-hook is what the runner executes as its container hook.
//
// It hands a container step, and the beginning and the end of a job with
// containers, to the daemon beside it through the exchange, prints the log that
// comes back and exits with the code. A step in the job container
// (run_script_step) it starts itself, through the agent that is the process of
// that container: without daemon and without API server.
//
// Where KILN_DELEGATE names another hook, that one gets all calls that kiln
// does not serve, and this process becomes it. Without one, in sealed mode,
// kiln serves them all.
//
// At the start of a job the runner calls another script of kiln's, by which this program
// tells the daemon, behind the job's back, what the job's actions may want built.
//
// It holds no credentials of the cluster, and the only network that it may talk
// to is the job container's, where no socket leads there. It reads and writes
// with the runner's own rights, and prints. SIGINT and SIGTERM cancel a step, or
// reach the processes of one in the job container; the runner sends both and
// kills ten seconds after the first (actions/runner, ProcessInvoker.cs).
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"kiln/internal/buildcontext"
	"kiln/internal/failure"
	"kiln/internal/hook"
)

// maxInputBytes is what the runner's JSON may have: the same limit as the
// request that carries it on.
const maxInputBytes = 4 << 20

func main() { os.Exit(start(os.Args[1:])) }

// Arguments by which the script of the job's start calls. The
// runner gives a hook none.
const (
	argWish    = "--wish"        // and the process id of the runner's worker
	argStarted = "--job-started" // become the script of the operator's own
)

// start does what the arguments say: a hook call, unless they say something else.
func start(args []string) int {
	switch {
	case len(args) > 0 && args[0] == argWish:
		makeWishes(args[1:])
		return 0
	case len(args) > 0 && args[0] == argStarted:
		complain(&lineWriter{w: os.Stdout}, failure.Misconfigured, becomeStarted())
		return 1
	}
	return run()
}

// run executes one hook call and returns its exit code. Signals are taken
// over once there is a step to cancel: before, they end the process, and a
// delegate finds them as the runner left them.
func run() int {
	out := &lineWriter{w: os.Stdout}
	input, err := receive(os.Stdin, out)
	if err != nil {
		complain(out, failure.BadRequest, err)
		return 1
	}
	task, err := newTask(input, out)
	if err != nil {
		complain(out, failure.BadRequest, err)
		return 1
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	passed := make(chan syscall.Signal, cap(signals))
	go take(signals, passed, cancel)

	ended := make(chan int, 1)
	go func() {
		code, err := task.run(ctx, passed)
		if err != nil {
			complain(out, reason(err), err)
		}
		ended <- code
	}()
	return exitCode(ctx, ended, task.grace, task.rest)
}

// take ends the context with the first signal and passes all of them on, as far
// as anybody reads them.
func take(signals <-chan os.Signal, passed chan<- syscall.Signal, cancel context.CancelCauseFunc) {
	for s := range signals {
		number, _ := s.(syscall.Signal)
		cancel(signalError{number})
		select {
		case passed <- number:
		default:
		}
	}
}

// exitCode waits for the step's code. After a signal it does not wait longer
// than grace and rest: a write to an output that nobody reads cannot be interrupted. The
// end of the process then frees the request's lock, and the daemon clears the
// rest; and the agent of a job container ends the step that it ran for it.
func exitCode(ctx context.Context, ended <-chan int, grace, rest time.Duration) int {
	code := 1
	select {
	case code = <-ended:
	case <-ctx.Done():
		code = within(ended, grace, rest)
	}
	var stopped signalError
	if errors.As(context.Cause(ctx), &stopped) && code != 0 {
		return 128 + int(stopped.signal)
	}
	return code
}

// within waits for the code, for one time after the other. A process that has not run
// for a while finds both over at once when it does: then it still has the second, from
// there, to say why it ends.
func within(ended <-chan int, times ...time.Duration) int {
	for _, limit := range times {
		select {
		case code := <-ended:
			return code
		case <-time.After(limit):
		}
	}
	return 1
}

// complain tells the step's author why it failed, on a line of its own.
func complain(out *lineWriter, why failure.Reason, err error) {
	out.line("::error::kiln: " + hook.EscapeData(err.Error()+" "+why.Mark()))
}

// sayFirst says an error and leaves nothing of it to be said. Deferred behind what clears
// up it runs before that, which may take longer than there is time for after a signal.
func sayFirst(out *lineWriter, err *error) {
	if *err != nil {
		complain(out, reason(*err), *err)
		*err = nil
	}
}

// reason is the class of what the shim says itself: what is not the author's
// context is the operator's daemon, or its absence.
func reason(err error) failure.Reason {
	if _, bad := errors.AsType[*buildcontext.InputError](err); bad {
		return failure.BadRequest
	}
	if _, stopped := errors.AsType[signalError](err); stopped {
		return failure.Cancelled
	}
	if known, ok := errors.AsType[*failure.Error](err); ok {
		return known.Reason
	}
	return failure.Internal
}

// signalError is the reason of a cancelled step.
type signalError struct{ signal syscall.Signal }

// Error says what the author sees of the cancellation.
func (e signalError) Error() string { return "the step was cancelled (" + e.signal.String() + ")" }

// duration reads a duration from the environment. Nonsense is an error: a
// limit that is silently another one helps nobody.
func duration(name string, fallback time.Duration) (time.Duration, error) {
	text := os.Getenv(name)
	if text == "" {
		return fallback, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%s is %q: write a duration such as 60s", name, text)
	}
	return d, nil
}

// lineWriter writes through and knows whether a line is open. It is safe for
// concurrent use.
type lineWriter struct {
	w io.Writer

	mu      sync.Mutex
	open    bool
	printed int
}

// Write writes p and remembers how it ended.
func (l *lineWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.writeLocked(p)
}

func (l *lineWriter) writeLocked(p []byte) (int, error) {
	if len(p) > 0 {
		l.open = p[len(p)-1] != '\n'
	}
	n, err := l.w.Write(p)
	l.countLocked(n)
	return n, err
}

// Take takes bytes out of a pipe where the output is one too. Whoever has it take them
// writes something afterwards, which tells whether a line is open.
func (l *lineWriter) Take(pipe, n int) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	file, ok := l.w.(*os.File)
	if !ok {
		return 0, nil
	}
	moved, err := splice(pipe, file, n)
	l.countLocked(moved)
	return moved, err
}

// countLocked has this process stand back once it is known to print much.
func (l *lineWriter) countLocked(n int) {
	if l.printed < muchOutput && l.printed+n >= muchOutput {
		standBack()
	}
	l.printed += n
}

// endLine makes sure that what follows begins a line.
func (l *lineWriter) endLine() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.endLocked()
}

func (l *lineWriter) endLocked() {
	if l.open {
		_, _ = l.writeLocked([]byte("\n"))
	}
}

// line writes a line of its own.
func (l *lineWriter) line(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.endLocked()
	_, _ = l.writeLocked([]byte(text + "\n"))
}
