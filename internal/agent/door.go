package agent

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// What goes wrong with a door itself, for errors.Is.
var (
	// ErrShut is a door behind which nobody answers: nothing was started.
	ErrShut = errors.New("the job container does not answer")
	// ErrGone is an agent that took the call and is gone, and its container with
	// it: out of memory, evicted, deleted. Or it no longer answers, or speaks
	// another language: in each case the step may have run.
	ErrGone = errors.New("the job container ended under the step")
)

// A RefusedError is an agent's reason for starting nothing.
type RefusedError struct{ Why string }

// Error says it.
func (e *RefusedError) Error() string { return "the job container starts nothing: " + e.Why }

// A Door leads to an agent: over a Unix socket, or over TCP with a secret. Its
// methods can be called at the same time, for several steps at once.
type Door struct {
	Socket string // the path of the socket as this process sees it; "" for TCP
	TCP    string // host:port
	Secret []byte // what the agent has in its Config
}

// A Welcome is what an agent answers to a probe.
type Welcome struct {
	Version     int  // of its protocol
	Descriptors bool // whether descriptors reach it; without, output is relayed
	Libc        Libc // what the job container's image has
	Mark        Mark // of the secret that it has
	// Short names the limits of its Config that are lower than was asked, each with
	// what it is, as "nofile 4096, core 0"; empty for none.
	Short string
}

// A Step is a call and what belongs to it on this side.
type Step struct {
	Call    Call
	Output  io.Writer             // gets what the step prints, from one goroutine at a time; it may be a Taker
	Signals <-chan syscall.Signal // passed on to the step; nil for none
}

// An Outcome is how a step ended.
type Outcome struct {
	Code       int            // its exit code, 128 and the number for a signal
	Signal     syscall.Signal // what ended it; 0 where it ended itself
	NotStarted string         // why it was not started; Code is 127, 126 or 128 then
	Relayed    bool           // its output came in frames
	Stopping   bool           // the container was told to end meanwhile

	// OutOfMemory says that a process in the container was killed meanwhile because
	// there was no memory left; MemoryLimit is what the container may have of it, in
	// bytes, 0 where that is not known.
	OutOfMemory bool
	MemoryLimit uint64
}

// Limits of the client: how long an agent may take to be there, and to say
// whether it has started a program, which a slow file system makes slow.
const (
	dialLimit   = 5 * time.Second
	answerLimit = time.Minute
)

// Probe asks whether an agent answers. It does not wait for one: a socket that
// is not there, or that nobody listens on, is an ErrShut at once.
func (d Door) Probe(ctx context.Context) (Welcome, error) {
	conn, err := d.dial(ctx)
	if err != nil {
		return Welcome{}, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	welcome, err := probe(conn)
	if err != nil {
		return Welcome{}, errors.Join(context.Cause(ctx), err)
	}
	return welcome, nil
}

// Alone tells the agent behind a socket that all calls come by it: the agent listens
// for no other any more.
func (d Door) Alone(ctx context.Context) error {
	conn, err := d.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if err := conn.SetDeadline(time.Now().Add(dialLimit)); err != nil {
		return err
	}
	if _, err := conn.Write(frame{kind: kindAlone}.append(nil)); err != nil {
		return fmt.Errorf("%w: %w", ErrShut, err)
	}
	_, err = readWelcome(conn)
	return err
}

// probe asks at an open connection.
func probe(conn net.Conn) (Welcome, error) {
	read, write, err := newPipe()
	if err != nil {
		return Welcome{}, err
	}
	defer read.Close()
	defer unix.Close(write)
	if err := conn.SetDeadline(time.Now().Add(dialLimit)); err != nil {
		return Welcome{}, err
	}
	if err := sendFirst(conn, frame{kindProbe, []byte{1}}, write); err != nil {
		return Welcome{}, fmt.Errorf("%w: %w", ErrShut, err)
	}
	return readWelcome(conn)
}

// readWelcome reads the agent's answer to anything but a call.
func readWelcome(conn net.Conn) (Welcome, error) {
	f, err := readFrame(conn)
	switch {
	case err != nil:
		return Welcome{}, fmt.Errorf("%w: %w", ErrShut, err)
	case f.kind == kindRefused:
		return Welcome{}, &RefusedError{string(f.payload)}
	case f.kind != kindWelcome || len(f.payload) < welcomeLen:
		return Welcome{}, fmt.Errorf("%w: %w", ErrShut, errForm)
	}
	return Welcome{
		Version: int(f.payload[0]), Descriptors: f.payload[1] == 1, Libc: Libc(f.payload[2]),
		Mark: Mark(f.payload[3:]), Short: string(f.payload[welcomeLen:]),
	}, nil
}

// Run has a step started and stays with it to its end: until the agent has told
// the outcome and everything that the step printed is written. An error means
// that there is no outcome. When ctx ends, or Output takes no more, the step is
// killed and Run returns that error.
func (d Door) Run(ctx context.Context, step Step) (Outcome, error) {
	payload := request{call: step.Call, descriptors: d.descriptors()}.encode()
	if err := step.Call.check(); err != nil {
		return Outcome{}, err
	}
	if len(payload) > maxCall {
		return tooLong(step.Call), nil
	}
	conn, err := d.dial(ctx)
	if err != nil {
		return Outcome{}, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	c := &conversation{conn: conn, output: step.Output, ended: make(chan struct{})}
	outcome, err := c.run(frame{kindCall, payload}, step.Signals)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return Outcome{}, cause
	}
	return outcome, err
}

// tooLong is what execve says to a call that is longer than a message.
func tooLong(call Call) Outcome {
	err := execError(call.Argv[0], "", unix.E2BIG)
	return Outcome{Code: err.code(), NotStarted: err.Error()}
}

// descriptors is how many descriptors go with a call.
func (d Door) descriptors() int {
	if d.Socket != "" {
		return 1
	}
	return 0
}

// dial connects, over TCP with the secret.
func (d Door) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	if d.Socket != "" {
		conn, err := dialUnix(ctx, d.Socket)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrShut, err)
		}
		return conn, nil
	}
	conn, err := (&net.Dialer{KeepAliveConfig: keepAlive}).DialContext(ctx, "tcp", d.TCP)
	if err == nil {
		if _, err = conn.Write(frame{kindSecret, d.Secret}.append(nil)); err != nil {
			_ = conn.Close()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrShut, err)
	}
	return conn, nil
}

// sendFirst opens a conversation, with a descriptor where the connection can
// carry one.
func sendFirst(conn net.Conn, f frame, descriptor int) error {
	data, rest := f.append(nil), 0
	if local, ok := conn.(*net.UnixConn); ok {
		n, _, err := local.WriteMsgUnix(data[:headerLen], unix.UnixRights(descriptor), nil)
		if err != nil {
			return err
		}
		rest = n
	}
	_, err := conn.Write(data[rest:])
	return err
}

// A conversation is one step at an open connection.
type conversation struct {
	conn    net.Conn
	ended   chan struct{} // closed when nothing more is to come
	started bool

	mu      sync.Mutex // output is written from the pipe and from frames
	output  io.Writer
	failed  error // of a write to output
	outcome Outcome
}

// run sends the call and listens to its end.
func (c *conversation) run(call frame, signals <-chan syscall.Signal) (Outcome, error) {
	piped, err := c.open(call)
	if err != nil {
		return Outcome{}, err
	}
	go c.pass(signals)
	err = c.listen()
	close(c.ended)
	<-piped
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed != nil {
		return Outcome{}, fmt.Errorf("write the step's output: %w", c.failed)
	}
	if err != nil {
		return Outcome{}, err
	}
	return c.outcome, nil
}

// open sends the call with the write end of a pipe, which is read until the
// channel is closed. Over TCP there is no pipe.
func (c *conversation) open(call frame) (piped <-chan struct{}, err error) {
	done := make(chan struct{})
	if err := c.conn.SetDeadline(time.Now().Add(answerLimit)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrShut, err)
	}
	if _, local := c.conn.(*net.UnixConn); !local {
		close(done)
		return done, c.sendCall(call, -1)
	}
	read, write, err := newPipe()
	if err != nil {
		return nil, err
	}
	err = c.sendCall(call, write)
	_ = unix.Close(write)
	if err != nil {
		return nil, errors.Join(err, read.Close())
	}
	go func() {
		defer close(done)
		defer read.Close()
		_ = pump(c, read, c.ended) // a failed write is remembered where it happens
	}()
	return done, nil
}

// sendCall sends the call.
func (c *conversation) sendCall(call frame, descriptor int) error {
	if err := sendFirst(c.conn, call, descriptor); err != nil {
		return fmt.Errorf("%w: %w", ErrShut, err)
	}
	return nil
}

// Write writes what the step printed. Where that fails the step is ended, as it
// would be by a pipe that nobody reads.
func (c *conversation) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.output.Write(p)
	c.failLocked(err)
	return n, err
}

// failLocked ends the conversation with the first error of its output.
func (c *conversation) failLocked(err error) {
	if err != nil && c.failed == nil {
		c.failed = err
		_ = c.conn.Close()
	}
}

// Take implements [Taker] where the output does.
func (c *conversation) Take(pipe, n int) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	taker, ok := c.output.(Taker)
	if !ok {
		return 0, nil
	}
	took, err := taker.Take(pipe, n)
	c.failLocked(err)
	return took, err
}

// pass passes signals on until the step has ended.
func (c *conversation) pass(signals <-chan syscall.Signal) {
	for {
		select {
		case signal, ok := <-signals:
			if !ok {
				return
			}
			// An agent that does not listen is noticed where it is listened to.
			_, _ = c.conn.Write(frame{kindSignal, []byte{byte(signal)}}.append(nil))
		case <-c.ended:
			return
		}
	}
}

// listen reads the agent's frames up to the outcome.
func (c *conversation) listen() error {
	for {
		f, err := readFrame(c.conn)
		if err != nil { // also before it said Started: the program may run by then
			return fmt.Errorf("%w: %w", ErrGone, err)
		}
		last, err := c.take(f)
		if last || err != nil {
			return err
		}
	}
}

// take does what one frame says, and tells whether it is the last one.
func (c *conversation) take(f frame) (last bool, err error) {
	switch f.kind {
	case kindRefused:
		return true, &RefusedError{string(f.payload)}
	case kindStopping:
		c.outcome.Stopping = true
		return false, nil
	case kindOutOfMemory:
		if len(f.payload) == 8 {
			c.outcome.OutOfMemory, c.outcome.MemoryLimit = true, binary.BigEndian.Uint64(f.payload)
			return false, nil
		}
	case kindStarted, kindCannotStart:
		if !c.started {
			return c.begin(f)
		}
	case kindOutput:
		if c.outcome.Relayed {
			_, err := c.Write(f.payload)
			return false, err
		}
	case kindExited, kindSignalled:
		if c.started {
			return true, c.end(f)
		}
	}
	return true, fmt.Errorf("%w: %w: %q is out of turn", ErrGone, errForm, byte(f.kind))
}

// begin takes the answer to the call.
func (c *conversation) begin(f frame) (last bool, err error) {
	if f.kind == kindCannotStart {
		if len(f.payload) == 0 {
			return true, fmt.Errorf("%w: %w: no exit code", ErrGone, errForm)
		}
		c.outcome.Code, c.outcome.NotStarted = int(f.payload[0]), string(f.payload[1:])
		return true, nil
	}
	inFrames, err := f.number()
	if err != nil {
		return true, fmt.Errorf("%w: %w", ErrGone, err)
	}
	c.started, c.outcome.Relayed = true, inFrames == 1
	if err := c.conn.SetDeadline(time.Time{}); err != nil {
		return true, fmt.Errorf("%w: %w", ErrGone, err)
	}
	return false, nil
}

// end takes the outcome.
func (c *conversation) end(f frame) error {
	number, err := f.number()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	c.outcome.Code = number
	if f.kind == kindSignalled {
		c.outcome.Code, c.outcome.Signal = 128+number, syscall.Signal(number)
	}
	return nil
}
