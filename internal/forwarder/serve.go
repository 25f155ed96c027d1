package forwarder

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"kiln/internal/failure"
	"kiln/internal/footprint"
	"kiln/internal/forward"
)

// Command is the argument that makes a program [Serve]; the path of the socket follows.
const Command = "forward"

// lifelineFile is the descriptor of a forwarder's lifeline: the first behind the standard
// ones.
const lifelineFile = 3

// order is what a forwarder is begun with.
type order struct {
	Rules []forward.Rule `json:"rules"`
	// Again is for ports that were open before: those that can be opened are.
	Again bool `json:"again,omitempty"`
}

// answer is what became of an order.
type answer struct {
	// Rules have the ports that they got.
	Rules []forward.Rule `json:"rules,omitempty"`
	// Reason and Message say what could not be opened; nothing is, unless it was again.
	Reason  failure.Reason `json:"reason,omitempty"`
	Message string         `json:"message,omitempty"`
}

// err is what an answer says of a failure.
func (a answer) err() error {
	if a.Message == "" {
		return nil
	}
	return failure.New(a.Reason, "%s", a.Message)
}

// keep is the line that follows an order once its ports are noted.
const keep = "keep\n"

// Serve is the forwarder: it takes an order, and forwards until it is told to end. It
// returns nil then, and when nobody keeps it.
func Serve(in io.Reader, out io.Writer, socket string) error {
	lifeline := os.NewFile(lifelineFile, "lifeline")
	if lifeline == nil {
		return errors.New("this command is the daemon's own: it has no lifeline")
	}
	defer lifeline.Close()
	return serve(in, out, socket, lifeline)
}

// serve is Serve with its lifeline, which ends with the supervisor.
func serve(in io.Reader, out io.Writer, socket string, lifeline io.Reader) error {
	lines := bufio.NewReader(in)
	line, err := lines.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read the order: %w", err)
	}
	var asked order
	if err := json.Unmarshal(line, &asked); err != nil {
		return fmt.Errorf("read the order: %w", err)
	}
	opened, got := open(asked)
	if opened == nil {
		return json.NewEncoder(out).Encode(got)
	}
	var client io.Closer // it waits until the ports are closed
	defer func() {
		if client != nil {
			_ = client.Close()
		}
	}()
	defer opened.Close()
	listener, err := listen(socket)
	if err != nil {
		return err
	}
	defer listener.Close() // removes the socket
	if err := json.NewEncoder(out).Encode(got); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	if line, err := lines.ReadString('\n'); err != nil || line != keep {
		return nil //nolint:nilerr // the worker has closed them, or ended before it noted them
	}
	client = stay(listener, lifeline)
	return nil
}

// open opens the ports of an order; nil where there are none.
func open(asked order) (*forward.Forwarder, answer) {
	var opened *forward.Forwarder
	var err error
	made := asked.Rules
	if asked.Again {
		opened, err = forward.Reopen(asked.Rules)
	} else {
		opened, made, err = forward.Open(asked.Rules)
	}
	if err != nil {
		return opened, answer{Rules: made, Reason: failure.Of(err), Message: err.Error()}
	}
	return opened, answer{Rules: made}
}

// listen listens at the socket, in the place of a forwarder that was killed.
func listen(socket string) (net.Listener, error) {
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("make way for the forwarder's socket: %w", err)
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return nil, fmt.Errorf("listen for the end of the job: %w", err)
	}
	return listener, nil
}

// stay returns when somebody tells it to at the socket, with the connection, or when the
// supervisor has ended, with nil.
func stay(listener net.Listener, lifeline io.Reader) io.Closer {
	ended := make(chan io.Closer)
	go func() {
		_, _ = io.Copy(io.Discard, lifeline)
		ended <- nil
	}()
	go attend(listener, ended)
	footprint.Shrink()
	return <-ended
}

// attend hands on the connection of a client that tells the forwarder to end. One that is
// not taken any more stays open until the process has ended: a connection that nothing
// refers to would be closed by the next garbage collection, with the ports still open.
func attend(listener net.Listener, ended chan<- io.Closer) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			if n, _ := conn.Read(make([]byte, 1)); n > 0 {
				ended <- conn
				return
			}
			_ = conn.Close()
		}()
	}
}
