package forwarder

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"

	"kiln/internal/failure"
	"kiln/internal/forward"
)

const (
	// answerTime is what a forwarder has to open its ports.
	answerTime = 30 * time.Second
	// endTime is what a forwarder has to close its ports.
	endTime = 10 * time.Second
	// againPause is between the end of a forwarder and its successor.
	againPause = time.Second
	// softMemory is a forwarder's GOMEMLIMIT.
	softMemory = "GOMEMLIMIT=33554432"
)

// Options are what a [Client] works with.
type Options struct {
	// Program is the path of what runs [Serve] as [Command].
	Program string
	// Socket is the path of the forwarder's socket, of at most 107 bytes.
	Socket string
	// Lifeline ends with the supervisor of this process. Nil is one of this process.
	Lifeline *os.File
	// Log is the operator's log.
	Log *zap.Logger
}

// Client has the ports of one job at a time forwarded by another process. It is safe for
// concurrent use.
type Client struct {
	options Options
	own     *os.File // the other end of the lifeline, where it is of this process

	mu     sync.Mutex
	rules  []forward.Rule
	lost   error         // of ports that could not be opened again
	begun  *process      // of this worker, until it is kept; else nil
	child  *process      // the last one of this worker, kept or not
	kept   net.Conn      // to the forwarder's socket, while one is kept
	closed chan struct{} // closed when the forwarder is not wanted any more
	group  sync.WaitGroup
}

// New returns a client.
func New(options Options) (*Client, error) {
	c := &Client{options: options}
	if options.Lifeline == nil {
		read, write, err := os.Pipe()
		if err != nil {
			return nil, fmt.Errorf("make a lifeline for forwarded ports: %w", err)
		}
		c.options.Lifeline, c.own = read, write
	}
	return c, nil
}

// Open opens the ports of all rules after those of an earlier job are closed, and returns
// the rules with the ports that they got. The error is the author's where a port is taken,
// or wanted twice. [Client.Keep] has to follow.
func (c *Client) Open(rules []forward.Rule) ([]forward.Rule, error) {
	c.Close()
	begun, got, err := c.begin(order{Rules: rules})
	if err != nil {
		return nil, err
	}
	if err := got.err(); err != nil {
		begun.end()
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begun, c.child, c.rules = begun, begun, got.Rules
	return got.Rules, nil
}

// Keep lets the ports outlive this process. It is called once they are noted.
func (c *Client) Keep() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.begun == nil {
		return nil
	}
	if _, err := io.WriteString(c.begun.in, keep); err != nil {
		return fmt.Errorf("keep the ports of services: %w", err)
	}
	_ = c.begun.in.Close()
	c.begun = nil
	return c.hold()
}

// hold joins the forwarder at the socket, and watches it. c.mu is held.
func (c *Client) hold() error {
	conn, err := net.Dial("unix", c.options.Socket)
	if err != nil {
		return fmt.Errorf("reach the forwarder of ports: %w", err)
	}
	c.kept, c.closed = conn, make(chan struct{})
	c.group.Go(func() { c.watch(conn, c.closed) })
	return nil
}

// Resume goes on with the forwarder that has the ports of rules, which an earlier worker
// kept. Where it has ended the ports are opened again; the error is about those that
// cannot be.
func (c *Client) Resume(rules []forward.Rule) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.resume(rules)
}

// resume is Resume. c.mu is held.
func (c *Client) resume(rules []forward.Rule) error {
	c.rules, c.lost = rules, nil
	if c.hold() == nil {
		return nil
	}
	c.lost = c.reopen(rules)
	return c.lost
}

// reopen begins a forwarder of the ports that can be opened. c.mu is held.
func (c *Client) reopen(rules []forward.Rule) error {
	begun, got, err := c.begin(order{Rules: rules, Again: true})
	if err != nil {
		return err
	}
	c.child = begun
	_, err = io.WriteString(begun.in, keep)
	return errors.Join(got.err(), err, begun.in.Close(), c.hold())
}

// Lost is the error of ports that could not be opened again, when a worker began or after
// a forwarder ended by itself; nil where there are none.
func (c *Client) Lost() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lost
}

// watch begins a forwarder again that ended while it was wanted.
func (c *Client) watch(conn net.Conn, closed <-chan struct{}) {
	_, _ = conn.Read(make([]byte, 1)) // it says nothing, and ends
	select {
	case <-closed:
		return
	case <-time.After(againPause):
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept != conn { // it is not wanted since the pause ended
		return
	}
	_ = conn.Close()
	c.kept = nil
	err := c.resume(c.rules)
	c.options.Log.Error("the forwarder of the services' ports ended by itself: it is begun again, and its connections are lost", zap.Error(err))
}

// Close closes the ports, and returns when they are.
func (c *Client) Close() {
	c.mu.Lock()
	c.lost = nil
	if c.begun != nil {
		c.begun.end()
		c.begun = nil
	}
	if c.kept == nil {
		c.kept, _ = net.Dial("unix", c.options.Socket) // of a worker before this one
	} else {
		close(c.closed)
	}
	if c.kept != nil {
		_ = c.kept.SetDeadline(time.Now().Add(endTime))
		_, _ = c.kept.Write([]byte{0})
		_, _ = io.Copy(io.Discard, c.kept)
		_ = c.kept.Close()
		c.kept = nil
		c.child.await()
	}
	c.child = nil
	c.mu.Unlock()
	c.group.Wait()
}

// process is a forwarder that this worker began.
type process struct {
	in     io.WriteCloser
	exited chan struct{}
}

// end has a forwarder end that nobody keeps.
func (p *process) end() {
	_ = p.in.Close()
	<-p.exited
}

// await waits until a forwarder that was told to end has. A nil one is another worker's.
func (p *process) await() {
	if p == nil {
		return
	}
	select {
	case <-p.exited:
	case <-time.After(endTime):
	}
}

// begin starts a forwarder with an order.
func (c *Client) begin(asked order) (*process, answer, error) {
	line, err := json.Marshal(asked)
	if err != nil {
		return nil, answer{}, fmt.Errorf("forward ports: %w", err)
	}
	cmd := exec.Command(c.options.Program, Command, c.options.Socket) //nolint:gosec // the program is the daemon's own
	cmd.Env = []string{softMemory}
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{c.options.Lifeline}
	// A group of its own: the supervisor ends that of the worker with the worker.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, inErr := cmd.StdinPipe()
	out, outErr := cmd.StdoutPipe()
	if err := errors.Join(inErr, outErr); err != nil {
		return nil, answer{}, fmt.Errorf("forward ports: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, answer{}, failure.New(failure.Internal, "start the forwarder of ports: %w", err)
	}
	p := &process{in: in, exited: make(chan struct{})}
	got, err := ask(in, out, append(line, '\n'))
	go func() {
		defer close(p.exited)
		_ = cmd.Wait()
	}()
	if err != nil {
		p.end()
		return nil, answer{}, failure.New(failure.Internal, "the forwarder of ports gives no answer; its own words are in the log of the kiln container: %w", err)
	}
	return p, got, nil
}

// ask gives a forwarder its order and reads the answer.
func ask(in io.Writer, out io.Reader, line []byte) (got answer, err error) {
	if _, err := in.Write(line); err != nil {
		return answer{}, err
	}
	if file, ok := out.(*os.File); ok {
		_ = file.SetReadDeadline(time.Now().Add(answerTime))
	}
	text, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		return answer{}, err
	}
	return got, json.Unmarshal(text, &got)
}
