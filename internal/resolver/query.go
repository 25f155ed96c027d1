package resolver

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	// udpPayload is how large an answer by UDP may be: what passes everywhere
	// without being cut to pieces (https://www.dnsflagday.net/2020/).
	udpPayload = 1232
	// maxAnswers bounds how many addresses of an answer are taken.
	maxAnswers = 64
)

// query asks one server one question: by UDP, and by TCP where the answer does
// not fit.
func (r *Resolver) query(ctx context.Context, server netip.AddrPort, what question) ([]netip.Addr, error) {
	q, err := newQuery(what)
	if err != nil {
		return nil, errNoHost
	}
	networks := []string{"udp", "tcp"}
	if r.config.TCP {
		networks = networks[1:]
	}
	for _, network := range networks {
		answer, err := q.send(ctx, network, server, r.config.Timeout)
		if err != nil {
			return nil, fmt.Errorf("ask the name server %s: %w", server, err)
		}
		if answer.Truncated && network == "udp" {
			continue
		}
		return q.read(answer, server)
	}
	return nil, errNoHost
}

// question is what a name server is asked: a name with a dot at the end, and the
// kind of its addresses.
type question struct {
	name string
	kind dnsmessage.Type
}

// query is a question on its way.
type query struct {
	id   uint16
	asks dnsmessage.Question
	text []byte
}

func newQuery(what question) (query, error) {
	parsed, err := dnsmessage.NewName(what.name)
	if err != nil {
		return query{}, err
	}
	q := query{
		id:   uint16(rand.Uint32()), //nolint:gosec // the runtime's generator is ChaCha8; its low bits are all that is wanted
		asks: dnsmessage.Question{Name: parsed, Type: what.kind, Class: dnsmessage.ClassINET},
	}
	builder := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: q.id, RecursionDesired: true})
	var size dnsmessage.ResourceHeader
	err = errors.Join(
		builder.StartQuestions(),
		builder.Question(q.asks),
		builder.StartAdditionals(),
		size.SetEDNS0(udpPayload, dnsmessage.RCodeSuccess, false),
		builder.OPTResource(size, dnsmessage.OPTResource{}),
	)
	if err != nil {
		return query{}, err
	}
	q.text, err = builder.Finish()
	return q, err
}

// send asks a server and returns its answer, within the given time.
func (q query) send(ctx context.Context, network string, server netip.AddrPort, limit time.Duration) (dnsmessage.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network, server.String())
	if err != nil {
		return dnsmessage.Message{}, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })
	defer stop()
	receive := receiveDatagram
	text := q.text
	if network == "tcp" {
		receive = receiveStream
		text = append(binary.BigEndian.AppendUint16(nil, uint16(len(text))), text...) //nolint:gosec // a question has some hundred bytes at most
	}
	if _, err := conn.Write(text); err != nil {
		return dnsmessage.Message{}, within(ctx, err)
	}
	for {
		content, err := receive(conn)
		if err != nil {
			return dnsmessage.Message{}, within(ctx, err)
		}
		// What is no answer to this question is somebody else's word.
		var answer dnsmessage.Message
		if err := answer.Unpack(content); err == nil && q.answeredBy(answer) {
			return answer, nil
		}
		if network == "tcp" {
			return dnsmessage.Message{}, errors.New("it answers another question")
		}
	}
}

// within is why the time ended, if it did, else err.
func within(ctx context.Context, err error) error {
	if ended := ctx.Err(); ended != nil {
		return ended
	}
	return err
}

func receiveDatagram(conn net.Conn) ([]byte, error) {
	buffer := make([]byte, udpPayload)
	n, err := conn.Read(buffer)
	return buffer[:n], err
}

func receiveStream(conn net.Conn) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, err
	}
	content := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(conn, content)
	return content, err
}

// answeredBy reports whether a message answers q.
func (q query) answeredBy(m dnsmessage.Message) bool {
	if !m.Response || m.ID != q.id || len(m.Questions) != 1 {
		return false
	}
	got := m.Questions[0]
	return got.Type == q.asks.Type && got.Class == q.asks.Class && strings.EqualFold(got.Name.String(), q.asks.Name.String())
}

// read takes the addresses out of an answer.
func (q query) read(m dnsmessage.Message, server netip.AddrPort) ([]netip.Addr, error) {
	switch m.RCode {
	case dnsmessage.RCodeSuccess:
	case dnsmessage.RCodeNameError:
		return nil, errNoHost
	default:
		return nil, fmt.Errorf("the name server %s answers %s", server, strings.TrimPrefix(m.RCode.String(), "RCode"))
	}
	var addresses []netip.Addr
	for _, answer := range m.Answers {
		switch body := answer.Body.(type) {
		case *dnsmessage.AResource:
			if q.asks.Type == dnsmessage.TypeA {
				addresses = append(addresses, netip.AddrFrom4(body.A))
			}
		case *dnsmessage.AAAAResource:
			if q.asks.Type == dnsmessage.TypeAAAA {
				addresses = append(addresses, netip.AddrFrom16(body.AAAA))
			}
		}
	}
	if len(addresses) == 0 {
		return nil, errNoHost
	}
	return addresses[:min(len(addresses), maxAnswers)], nil
}
