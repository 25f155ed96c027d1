package agent

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Limits of an outlet: how long one that connects has for each thing that it
// says, and how many are heard at a time.
const (
	outletLimit    = 5 * time.Second
	maxOutletPeers = 8
)

// An Outlet is a pipe for what an action prints, of which the write end is had at
// a socket for a token; [RunAction] asks for it. The first who takes it is the
// action, and nobody else gets it then. By the same connection the action can tell how
// it ended, once nothing of it runs any more.
//
// Whether it was taken is known for certain once it is settled, on both sides: the
// action says that it takes the end before it uses it, and it does not use it where
// it can no longer say so.
type Outlet struct {
	token    []byte
	listener net.Listener
	read     *os.File
	peers    sync.WaitGroup
	settled  chan struct{}
	ended    chan struct{}

	mu     sync.Mutex
	write  int // -1 once it is settled
	taken  bool
	closed bool // to whoever still comes
	heard  map[net.Conn]bool
	action net.Conn // by which it was taken; nil before
	code   int      // written before ended is closed
}

// OpenOutlet makes an outlet with a socket at a path in a directory that only its
// maker and who is to find it use.
func OpenOutlet(path string, token []byte) (*Outlet, error) {
	if len(token) < minSecret || len(token) > maxSecret {
		return nil, fmt.Errorf("a token has %d to %d bytes", minSecret, maxSecret)
	}
	read, write, err := newPipe()
	if err != nil {
		return nil, err
	}
	listener, err := listenUnix(path)
	if err != nil {
		return nil, errors.Join(err, read.Close(), unix.Close(write))
	}
	o := &Outlet{
		token: token, listener: listener, read: read, write: write,
		settled: make(chan struct{}), ended: make(chan struct{}), heard: map[net.Conn]bool{},
	}
	go o.accept()
	return o, nil
}

// Settled is closed once it is known whether the outlet was taken.
func (o *Outlet) Settled() <-chan struct{} { return o.settled }

// Taken reports whether an action prints into the outlet. Before it is settled it
// does not.
func (o *Outlet) Taken() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.taken
}

// Ended is closed once the action has told that it has ended, and with it all that it
// started. It need not tell: then only its container's end says so.
func (o *Outlet) Ended() <-chan struct{} { return o.ended }

// ExitCode is how the action ended, 0 to 127. It may be called once Ended is closed.
func (o *Outlet) ExitCode() int { return o.code }

// Settle lets nobody in any more. It returns when the outlet is settled, within
// moments: who was being let in has the end or does not.
func (o *Outlet) Settle() {
	_ = o.listener.Close()
	o.mu.Lock()
	o.closed = true
	for conn := range o.heard {
		_ = conn.SetReadDeadline(time.Now())
	}
	o.mu.Unlock()
	o.peers.Wait()
	o.settle(nil)
}

// settle fixes what became of the outlet, once: by which connection it was taken, nil
// for none.
func (o *Outlet) settle(by net.Conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.write < 0 {
		return
	}
	_ = unix.Close(o.write) // the pipe ends with the action
	o.write, o.taken, o.action = -1, by != nil, by
	_ = o.listener.Close()
	close(o.settled)
}

// Pour copies what the action prints until nothing can write to the pipe any more,
// or until [Grace] after ended is closed: then what the pipe still holds is copied.
func (o *Outlet) Pour(to io.Writer, ended <-chan struct{}) error { return pump(to, o.read, ended) }

// Close settles the outlet and lets go of the pipe, which ends a Pour that waits for
// more. It can be called more than once.
func (o *Outlet) Close() {
	o.Settle()
	_ = o.read.Close()
	if o.action != nil {
		_ = o.action.Close()
	}
}

// accept hears those that connect, until the listener is closed.
func (o *Outlet) accept() {
	places := make(chan struct{}, maxOutletPeers)
	for {
		places <- struct{}{}
		conn, err := o.listener.Accept()
		switch {
		case err == nil && o.enter(conn):
			go func() {
				defer func() { <-places }()
				defer conn.Close()
				taken := o.hear(&peer{conn})
				if o.leave(conn); taken {
					o.attend(conn)
				}
			}()
			continue
		case err == nil:
			_ = conn.Close()
		case errors.Is(err, net.ErrClosed):
			return
		default:
			time.Sleep(100 * time.Millisecond) // out of descriptors: some come back
		}
		<-places
	}
}

// enter notes one that is heard, unless the outlet is settled.
func (o *Outlet) enter(conn net.Conn) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || o.write < 0 {
		return false
	}
	o.heard[conn] = true
	o.peers.Add(1)
	return true
}

// leave says that a connection is not heard any more.
func (o *Outlet) leave(conn net.Conn) {
	o.mu.Lock()
	delete(o.heard, conn)
	o.mu.Unlock()
	o.peers.Done()
}

// hear gives the write end to one that knows the token, and settles the outlet by
// what it answers: that it takes the end, or that none came. It reports whether this
// one has it.
func (o *Outlet) hear(p *peer) (taken bool) {
	if p.conn.SetDeadline(time.Now().Add(outletLimit)) != nil || !o.admits(p) {
		return false
	}
	if o.grant(p) != nil {
		return false
	}
	answer, err := readAnswer(p.conn)
	if err != nil || answer.kind != kindTaken {
		return false
	}
	came, err := answer.number()
	switch {
	case err != nil:
		return false
	case came == 1:
		o.settle(p.conn)
	default:
		o.settle(nil)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.action == p.conn
}

// attend waits for what the action tells of its end: one frame, or nothing.
func (o *Outlet) attend(conn net.Conn) {
	told := make([]byte, headerLen+1)
	if conn.SetDeadline(time.Time{}) != nil {
		return
	}
	if _, err := io.ReadFull(conn, told); err != nil {
		return
	}
	end, err := readFrame(bytes.NewReader(told))
	if err != nil || end.kind != kindExited {
		return
	}
	if code, err := end.number(); err == nil && code <= maxExit {
		o.code = code
		close(o.ended)
	}
}

// admits reads the token, and nothing else of a stranger.
func (o *Outlet) admits(p *peer) bool {
	var head [headerLen]byte
	if _, err := io.ReadFull(p.conn, head[:]); err != nil || kind(head[0]) != kindSecret {
		return false
	}
	f, err := p.rest(head)
	got, want := sha256.Sum256(f.payload), sha256.Sum256(o.token)
	return err == nil && subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

// grant sends the write end.
func (o *Outlet) grant(p *peer) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.write < 0 {
		return errors.New("it is settled")
	}
	return sendFirst(p.conn, frame{kindGrant, []byte{1}}, o.write)
}

// readAnswer reads what the action says to the end that it was sent. Where that
// takes too long nothing is taken any more from then on, and the action knows it;
// what it had said before still counts.
func readAnswer(conn net.Conn) (frame, error) {
	answer := make([]byte, headerLen+1)
	n, err := io.ReadFull(conn, answer)
	if half, ok := conn.(interface{ CloseRead() error }); ok && err != nil {
		err = errors.Join(half.CloseRead(), os.ErrDeadlineExceeded)
		for errors.Is(err, os.ErrDeadlineExceeded) && n < len(answer) {
			var more int
			_ = conn.SetReadDeadline(time.Time{}) // no read waits any more
			more, err = io.ReadFull(conn, answer[n:])
			n += more
		}
	}
	if err != nil {
		return frame{}, err
	}
	return readFrame(bytes.NewReader(answer))
}
