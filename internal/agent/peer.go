package agent

import (
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// A peer is the client at the other end of a connection. Frames that are sent
// at the same time do not mix: each is one Write.
type peer struct {
	conn net.Conn
}

// maxDescriptors is how many descriptors are taken from a message: one more
// than a call has, so that too many are noticed. The kernel closes the others.
const maxDescriptors = 2

// first reads the frame that opens a conversation, and takes the descriptors
// that came with it, which are the caller's to close.
func (p *peer) first() (frame, []int, error) {
	unixConn, ok := p.conn.(*net.UnixConn)
	if !ok {
		f, err := readFrame(p.conn)
		return f, nil, err
	}
	var head [headerLen]byte
	oob := make([]byte, unix.CmsgSpace(4*maxDescriptors))
	n, oobn, _, _, err := unixConn.ReadMsgUnix(head[:], oob)
	if err != nil {
		return frame{}, nil, err
	}
	descriptors, err := takeDescriptors(oob[:oobn])
	if err == nil && n == 0 {
		err = io.EOF
	}
	if err == nil {
		_, err = io.ReadFull(p.conn, head[n:])
	}
	var f frame
	if err == nil {
		f, err = p.rest(head)
	}
	if err != nil {
		closeAll(descriptors)
		return frame{}, nil, err
	}
	return f, descriptors, nil
}

// rest reads the payload behind a header.
func (p *peer) rest(head [headerLen]byte) (frame, error) {
	k, length, err := header(head)
	if err != nil {
		return frame{}, err
	}
	payload, err := readPayload(p.conn, length)
	return frame{k, payload}, err
}

// takeDescriptors takes descriptors out of control messages. They are plain
// numbers from here on: a second owner would close a stranger's.
func takeDescriptors(oob []byte) ([]int, error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errForm, err)
	}
	var descriptors []int
	for i := range messages {
		if got, err := unix.ParseUnixRights(&messages[i]); err == nil {
			descriptors = append(descriptors, got...)
		}
	}
	return descriptors, nil
}

func closeAll(descriptors []int) {
	for _, fd := range descriptors {
		_ = unix.Close(fd)
	}
}

// send sends a frame that the other side has to take soon.
func (p *peer) send(f frame) error {
	if err := p.conn.SetWriteDeadline(time.Now().Add(sendLimit)); err != nil {
		return err
	}
	_, err := p.conn.Write(f.append(nil))
	return err
}

// refuse tells the other side why there is no step. What it still sends is
// dropped, for a short time: a connection that is closed before it is read is
// reset, and the answer with it.
func (p *peer) refuse(why error) {
	text := why.Error()
	if p.send(frame{kindRefused, []byte(text[:min(len(text), maxText)])}) != nil {
		return // it is gone
	}
	if half, ok := p.conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_ = p.conn.SetReadDeadline(time.Now().Add(refuseLimit))
		_, _ = io.CopyN(io.Discard, p.conn, maxCall)
	}
}

// A relay sends a step's output in frames. While the step runs it waits for a
// reader without limit, as a pipe does; after the step's end each frame has to
// be taken within stallLimit.
type relay struct {
	peer  *peer
	ended <-chan struct{}
	frame []byte
}

// Write sends p, in as many frames as it takes.
func (r *relay) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		part := p[n:min(len(p), n+maxOutput)]
		select {
		case <-r.ended:
			err = r.peer.conn.SetWriteDeadline(time.Now().Add(stallLimit))
		default:
		}
		r.frame = frame{kindOutput, part}.append(r.frame[:0])
		if err == nil {
			_, err = r.peer.conn.Write(r.frame)
		}
		n += len(part)
	}
	return n, err
}

// signals reads what the client sends while its step runs, until the connection
// ends or carries anything but signals.
func (p *peer) signals(to func(number int)) {
	for {
		f, err := readFrame(p.conn)
		if err != nil || f.kind != kindSignal {
			return
		}
		number, err := f.number()
		if err != nil || number < 1 || number > 64 {
			return
		}
		to(number)
	}
}

// errSecret is all that a stranger hears.
var errSecret = errors.New("the secret is not that of this job")
