package agent

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"kiln/internal/children"
)

// Limits of the agent. A connection has openLimit to say what it wants, and at
// most maxOpening of each listener are heard at a time: the others wait, those of a
// socket in the kernel's queue. With the limit of a call that bounds the memory.
const (
	maxOpening = 8
	openLimit  = 10 * time.Second
	sendLimit  = 10 * time.Second
	stallLimit = time.Minute // for a frame of output after the step's end
	stopGrace  = 5 * time.Second
	maxSteps   = 128

	refuseLimit = time.Second // for what a refused client still sends
)

// keepAlive finds out within a minute about that a client's node is gone.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 3}

// A Config is what an agent listens on.
type Config struct {
	Socket string    // the path of a Unix socket; "" for none
	TCP    string    // host:port; "" for none
	Secret []byte    // of TCP, minSecret bytes at least
	Log    io.Writer // the container's log: one line for what listens and what fails
	Limits []Limit   // of all steps, as far as this process may set them
	Unset  []string  // variables of the container that no step begins with
}

// minSecret is what nobody guesses.
const minSecret = 16

// A server is an agent that listens.
type server struct {
	config   Config
	launcher *launcher
	short    string // the limits that are lower than was asked
	roster   roster
	steps    chan struct{} // one item for each step that runs
	calls    sync.WaitGroup
	outside  []net.Listener // those that are no sockets
}

// Serve is the job container's process: it listens, starts the steps that it is
// called for, and reaps. When ctx ends it sends the running steps SIGTERM and after
// some seconds SIGKILL, tells the client of each why before it tells how the step
// ended, and returns. Only one Serve may run in a process, which waits for no child in
// another way.
func Serve(ctx context.Context, config Config) error {
	listeners, err := config.listen(ctx)
	if err != nil {
		return err
	}
	if err := children.Adopt(); err != nil {
		fmt.Fprintf(config.Log, "kiln-agent: %v\n", err)
	}
	set := children.Own()
	defer set.Release()
	launcher, err := newLauncher(set, config.Unset)
	if err != nil {
		closeListeners(listeners)
		return err
	}
	held, short, err := within(config.Limits)
	if err != nil {
		closeListeners(listeners)
		return err
	}
	launcher.limits = held
	s := &server{
		config: config, launcher: launcher, short: strings.Join(short, ", "),
		roster: roster{steps: map[*step]bool{}}, steps: make(chan struct{}, maxSteps),
	}
	var accepting sync.WaitGroup
	for _, listener := range listeners {
		if !isLocal(listener.Addr()) {
			s.outside = append(s.outside, listener)
		}
	}
	for _, listener := range listeners {
		fmt.Fprintf(config.Log, "kiln-agent: listens on %s\n", listener.Addr())
		accepting.Go(func() { s.accept(ctx, listener) })
	}
	<-ctx.Done()
	closeListeners(listeners)
	accepting.Wait()
	s.stop()
	return nil
}

// listen opens what the configuration names.
func (c Config) listen(ctx context.Context) ([]net.Listener, error) {
	var all []net.Listener
	if c.TCP != "" {
		if len(c.Secret) < minSecret || len(c.Secret) > maxSecret {
			return nil, fmt.Errorf("the secret for %s has %d bytes: it needs %d to %d", c.TCP, len(c.Secret), minSecret, maxSecret)
		}
		listener, err := (&net.ListenConfig{KeepAliveConfig: keepAlive}).Listen(ctx, "tcp", c.TCP)
		if err != nil {
			return nil, err
		}
		all = append(all, listener)
	}
	if c.Socket != "" {
		listener, err := listenUnix(c.Socket)
		if err != nil {
			closeListeners(all)
			return nil, err
		}
		all = append(all, listener)
	}
	if len(all) == 0 {
		return nil, errors.New("nothing to listen on")
	}
	return all, nil
}

// isLocal tells a Unix socket, which takes rights on the file system to connect to.
func isLocal(address net.Addr) bool { return address.Network() == "unix" }

func closeListeners(all []net.Listener) {
	for _, listener := range all {
		_ = listener.Close()
	}
}

// accept hears connections until the listener is closed.
func (s *server) accept(ctx context.Context, listener net.Listener) {
	local, outside := isLocal(listener.Addr()), &strangers{}
	opening := make(chan struct{}, maxOpening)
	for {
		if local {
			select {
			case opening <- struct{}{}:
			case <-ctx.Done(): // whoever holds all places is not waited for
				return
			}
		}
		conn, err := listener.Accept()
		switch {
		case err == nil:
			s.calls.Go(func() {
				defer conn.Close()
				p := &peer{conn}
				if !local && !s.letIn(ctx, p, outside, opening) {
					return
				}
				s.hear(p, sync.OnceFunc(func() { <-opening }))
			})
			continue
		case errors.Is(err, net.ErrClosed):
			return
		}
		if local {
			<-opening
		}
		fmt.Fprintf(s.config.Log, "kiln-agent: %v\n", err)
		time.Sleep(100 * time.Millisecond) // out of descriptors or memory: some come back
	}
}

// letIn has a connection that came over TCP tell the secret, and then takes its place
// among those that are heard. One that does not tell it in time is hung up on without a
// word, and so are all when ctx ends: an answer is final, and a client that is only late
// may try again.
func (s *server) letIn(ctx context.Context, p *peer, outside *strangers, opening chan<- struct{}) bool {
	leave := outside.enter(p.conn)
	defer leave()
	defer context.AfterFunc(ctx, func() { _ = p.conn.Close() })()
	if p.conn.SetDeadline(time.Now().Add(secretLimit)) != nil {
		return false
	}
	if err := s.admit(p); err != nil {
		if errors.Is(err, errSecret) {
			p.refuse(err)
		}
		return false
	}
	leave()
	opening <- struct{}{}
	return true
}

// hear does what one connection wants. opened is called once that is known.
func (s *server) hear(p *peer, opened func()) {
	defer opened()
	if p.conn.SetDeadline(time.Now().Add(openLimit)) != nil {
		return
	}
	f, descriptors, err := p.first()
	if err != nil {
		if errors.Is(err, errForm) {
			p.refuse(err)
		}
		return
	}
	defer func() { closeAll(descriptors) }()
	if p.conn.SetDeadline(time.Time{}) != nil {
		return
	}
	opened()
	switch local := isLocal(p.conn.LocalAddr()); {
	case f.kind == kindProbe:
		_ = p.send(s.welcome(len(descriptors)))
	case f.kind == kindAlone && local:
		closeListeners(s.outside)
		_ = p.send(s.welcome(len(descriptors)))
	case f.kind == kindCall:
		s.call(p, f.payload, &descriptors)
	default:
		p.refuse(fmt.Errorf("%w: %q opens no conversation", errForm, byte(f.kind)))
	}
}

// welcome is the answer to a probe that came with so many descriptors.
func (s *server) welcome(descriptors int) frame {
	mark := MarkOf(s.config.Secret)
	head := append([]byte{Version, byte(descriptors), byte(findLibc("/"))}, mark[:]...)
	return frame{kindWelcome, append(head, s.short...)}
}

// admit reads the secret of a connection. The error is errSecret where something else
// came.
func (s *server) admit(p *peer) error {
	var head [headerLen]byte
	if _, err := io.ReadFull(p.conn, head[:]); err != nil {
		return err
	}
	if kind(head[0]) != kindSecret { // nothing else of a stranger is read
		return errSecret
	}
	f, err := p.rest(head)
	if err != nil && !errors.Is(err, errForm) {
		return err
	}
	// Digests have one length, so that the time tells nothing of the secret's.
	got, want := sha256.Sum256(f.payload), sha256.Sum256(s.config.Secret)
	if err != nil || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
		return errSecret
	}
	return nil
}

// call starts a step and stays with it to its end.
func (s *server) call(p *peer, payload []byte, descriptors *[]int) {
	r, err := parseRequest(payload)
	switch {
	case err != nil:
	case len(*descriptors) > 1, len(*descriptors) > r.descriptors:
		err = fmt.Errorf("%w: more descriptors than a call has", errForm)
	default:
		select {
		case s.steps <- struct{}{}:
			defer func() { <-s.steps }()
		default:
			err = fmt.Errorf("%d steps run in this container: no further one", maxSteps)
		}
	}
	if err != nil {
		p.refuse(err)
		return
	}
	if len(*descriptors) == 1 {
		s.direct(p, r.call, descriptors)
		return
	}
	s.relayed(p, r.call)
}

// direct runs a step on a descriptor of the client's.
func (s *server) direct(p *peer, call Call, descriptors *[]int) {
	running := s.begin(p, 0, func() (*step, error) {
		defer func() {
			closeAll(*descriptors) // the step alone has it, and the pipe ends with it
			*descriptors = nil
		}()
		return s.launcher.start(call, (*descriptors)[0])
	})
	if running == nil {
		return
	}
	defer s.roster.remove(running)
	go s.listen(p, running)
	p.finish(running)
}

// relayed runs a step on a pipe of the agent's and sends what it prints.
func (s *server) relayed(p *peer, call Call) {
	read, write, err := newPipe()
	if err != nil {
		p.refuse(err)
		return
	}
	defer read.Close()
	running := s.begin(p, 1, func() (*step, error) {
		defer func() { _ = unix.Close(write); write = -1 }()
		return s.launcher.start(call, write)
	})
	if running == nil {
		if write >= 0 {
			_ = unix.Close(write)
		}
		return
	}
	defer s.roster.remove(running)
	go s.listen(p, running)
	ended := running.child.Done()
	go func() {
		<-ended
		_ = p.conn.SetWriteDeadline(time.Now().Add(stallLimit))
	}()
	if err := pump(&relay{peer: p, ended: ended}, read, ended); err != nil {
		running.signal(syscall.SIGKILL) // nobody reads it: the client is gone
	}
	p.finish(running)
}

// finish waits for the end of a step and tells it, and before that whether the
// container's end has ended it: behind the outcome the client reads nothing.
func (p *peer) finish(running *step) {
	outcome := running.outcome()
	if running.stopped {
		_ = p.send(frame{kind: kindStopping})
	}
	if f, was := running.outOfMemory(); was {
		_ = p.send(f)
	}
	_ = p.send(outcome)
}

// begin starts a step and tells the client of it, or why there is none; then it
// returns nil. A step that nobody is told of is ended. The roster holds the
// container's end up meanwhile: a step that runs is never said not to.
func (s *server) begin(p *peer, inFrames byte, start func() (*step, error)) *step {
	var unheard error
	running, err := s.roster.add(func() (*step, error) {
		running, err := start()
		if err != nil {
			return nil, err
		}
		if unheard = p.send(frame{kindStarted, []byte{inFrames}}); unheard == nil {
			unheard = p.conn.SetWriteDeadline(time.Time{})
		}
		return running, nil
	})
	if failed, ok := errors.AsType[*startError](err); ok {
		text := append([]byte{byte(failed.code())}, failed.Error()...)
		_ = p.send(frame{kindCannotStart, text[:min(len(text), maxText)]})
		return nil
	}
	if err != nil {
		p.refuse(err)
		return nil
	}
	if unheard != nil {
		running.signal(syscall.SIGKILL)
		s.roster.remove(running)
		return nil
	}
	return running
}

// listen passes the client's signals on while the step runs. A client that is
// gone, or sends anything else, ends its step.
func (*server) listen(p *peer, running *step) {
	p.signals(func(number int) { running.signal(syscall.Signal(number)) })
	running.signal(syscall.SIGKILL)
}

// stop ends what runs.
func (s *server) stop() {
	running := s.roster.close()
	for _, step := range running {
		step.stop()
	}
	late := time.AfterFunc(stopGrace, func() {
		for _, step := range running {
			step.signal(syscall.SIGKILL)
		}
	})
	defer late.Stop()
	answered := make(chan struct{})
	go func() { s.calls.Wait(); close(answered) }()
	select {
	case <-answered:
	case <-time.After(stopGrace + Grace):
	}
}
