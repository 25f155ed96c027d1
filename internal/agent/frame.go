package agent

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A frame is one message: a byte that says what it is, the payload's length as
// four bytes, the highest first, and the payload.
type frame struct {
	kind    kind
	payload []byte
}

// A kind is what a frame says.
type kind byte

// The client's frames.
const (
	kindSecret kind = 'K' // the job's secret: the first one over TCP
	kindCall   kind = 'C' // a call, see Call
	kindSignal kind = 'S' // one byte: the number of a signal for the step
	kindProbe  kind = 'P' // one byte: how many descriptors come with it
	kindAlone  kind = 'L' // over a socket: no call will come over TCP
)

// The agent's frames.
const (
	kindWelcome     kind = 'W' // the answer to a probe, and to the end of TCP: version, descriptors that came, Libc, Mark, short limits
	kindStarted     kind = 'B' // one byte: 1 where output comes in frames, else 0
	kindOutput      kind = 'O' // what the step printed
	kindStopping    kind = 'D' // before the outcome: the step was told to end, with its container
	kindOutOfMemory kind = 'M' // eight bytes: the container's limit; it ran out of memory under the step
	kindExited      kind = 'E' // one byte: the exit code
	kindSignalled   kind = 'T' // one byte: the signal that ended the step
	kindCannotStart kind = 'N' // one byte: the exit code; then why
	kindRefused     kind = 'R' // why there is no step
)

// An outlet's frame, and the one that answers it. The action's end is a kindExited.
const (
	kindGrant kind = 'G' // one byte: how many descriptors come with it
	kindTaken kind = 'A' // one byte: how many came; with 1 it is taken
)

// Limits of payloads in bytes. A call holds what execve takes at most: a
// quarter of the stack's limit, 2 MiB by default, for arguments and environment
// together (execve(2)).
const (
	maxCall   = 4 << 20
	maxSecret = 1 << 10
	maxOutput = 64 << 10
	maxText   = 16 << 10
)

// limit is how long a payload may be. A kind that nobody sends has none.
func (k kind) limit() (limit int, known bool) {
	switch k {
	case kindCall:
		return maxCall, true
	case kindSecret:
		return maxSecret, true
	case kindOutput:
		return maxOutput, true
	case kindCannotStart, kindRefused, kindWelcome:
		return maxText, true
	case kindSignal, kindProbe, kindStarted, kindExited, kindSignalled, kindGrant, kindTaken:
		return 1, true
	case kindOutOfMemory:
		return 8, true
	case kindStopping, kindAlone:
		return 0, true
	}
	return 0, false
}

const headerLen = 5

// errForm is what is not the protocol at all.
var errForm = errors.New("not a message of kiln's agent")

// append appends the frame's bytes to b.
func (f frame) append(b []byte) []byte {
	b = append(b, byte(f.kind))
	b = binary.BigEndian.AppendUint32(b, uint32(len(f.payload)))
	return append(b, f.payload...)
}

// header reads the kind and the length of a frame.
func header(b [headerLen]byte) (kind, int, error) {
	k, length := kind(b[0]), binary.BigEndian.Uint32(b[1:])
	limit, known := k.limit()
	if !known {
		return 0, 0, fmt.Errorf("%w: it begins with %q", errForm, b[0])
	}
	if length > uint32(limit) {
		return 0, 0, fmt.Errorf("%w: %d bytes of a message that may have %d", errForm, length, limit)
	}
	return k, int(length), nil
}

// readFrame reads one frame. Memory grows with what has arrived, not with what
// is announced. The error is io.EOF only where nothing came at all.
func readFrame(r io.Reader) (frame, error) {
	var head [headerLen]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return frame{}, err
	}
	k, length, err := header(head)
	if err != nil {
		return frame{}, err
	}
	payload, err := readPayload(r, length)
	return frame{k, payload}, err
}

// readPayload reads length bytes.
func readPayload(r io.Reader, length int) ([]byte, error) {
	var b bytes.Buffer
	n, err := io.CopyN(&b, r, int64(length))
	if errors.Is(err, io.EOF) && n < int64(length) {
		err = io.ErrUnexpectedEOF
	}
	return b.Bytes(), err
}

// number is the payload of a frame that has one byte.
func (f frame) number() (int, error) {
	if len(f.payload) != 1 {
		return 0, fmt.Errorf("%w: %d bytes in a message %q", errForm, len(f.payload), byte(f.kind))
	}
	return int(f.payload[0]), nil
}
