package resolver

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// zone answers questions: by name and type, with addresses.
type zone map[string][]string

// server is a name server on one port, by UDP and TCP.
type server struct {
	address netip.AddrPort
	zone    zone
	// code is what it answers to everything, if not success; cut makes it
	// shorten what it answers by UDP; deaf makes it answer nothing.
	code dnsmessage.RCode
	cut  bool
	deaf bool
	// spoil are messages that are sent before the answer.
	spoil func(dnsmessage.Message) []dnsmessage.Message

	mu    sync.Mutex
	asked []string
}

// listen listens at a port of both protocols.
func listen() (net.Listener, net.PacketConn, error) {
	stream, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	packets, err := net.ListenPacket("udp", stream.Addr().String())
	if err != nil {
		return nil, nil, errors.Join(err, stream.Close())
	}
	return stream, packets, nil
}

func (s *server) start(t *testing.T) *server {
	t.Helper()
	stream, packets, err := listen()
	for range 10 { // what is free for the one may be taken for the other
		if err == nil {
			break
		}
		stream, packets, err = listen()
	}
	if err != nil {
		t.Fatal(err)
	}
	s.address = netip.MustParseAddrPort(stream.Addr().String())
	var group sync.WaitGroup
	t.Cleanup(func() {
		_ = stream.Close()
		_ = packets.Close()
		group.Wait()
	})
	group.Go(func() { s.servePackets(packets) })
	group.Go(func() { s.serveStream(stream) })
	return s
}

func (s *server) servePackets(conn net.PacketConn) {
	buffer := make([]byte, 4096)
	for {
		n, from, err := conn.ReadFrom(buffer)
		if err != nil {
			return
		}
		for _, message := range s.answer("udp", buffer[:n]) {
			_, _ = conn.WriteTo(message, from)
		}
	}
}

func (s *server) serveStream(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		if question, err := receiveStream(conn); err == nil {
			for _, message := range s.answer("tcp", question) {
				_, _ = conn.Write(append([]byte{byte(len(message) >> 8), byte(len(message))}, message...))
			}
		}
		_ = conn.Close()
	}
}

// answer returns the messages that a question gets.
func (s *server) answer(network string, question []byte) [][]byte {
	var asked dnsmessage.Message
	if err := asked.Unpack(question); err != nil || len(asked.Questions) != 1 {
		return nil
	}
	q := asked.Questions[0]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, network+" "+q.Name.String()+" "+strings.TrimPrefix(q.Type.String(), "Type"))
	if s.deaf {
		return nil
	}
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: asked.ID, Response: true, RCode: s.code}, Questions: asked.Questions}
	addresses, known := s.zone[strings.ToLower(q.Name.String())]
	if !known && s.code == dnsmessage.RCodeSuccess {
		m.RCode = dnsmessage.RCodeNameError
	}
	for _, text := range addresses {
		address := netip.MustParseAddr(text)
		header := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 1}
		switch {
		case address.Is4() && q.Type == dnsmessage.TypeA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: address.As4()}})
		case address.Is6() && q.Type == dnsmessage.TypeAAAA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: address.As16()}})
		}
	}
	if s.cut && network == "udp" {
		m.Truncated, m.Answers = true, nil
	}
	all := []dnsmessage.Message{m}
	if s.spoil != nil {
		all = append(s.spoil(m), m)
	}
	var packed [][]byte
	for _, message := range all {
		if content, err := message.Pack(); err == nil {
			packed = append(packed, content)
		}
	}
	return packed
}

// questions returns what was asked so far, sorted, and forgets it.
func (s *server) questions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	slices.Sort(asked)
	return asked
}

// resolver goes by the servers, with little patience.
func newResolver(servers ...*server) *Resolver {
	c := Config{
		Hosts:  map[string][]netip.Addr{"pod": {netip.MustParseAddr("10.0.0.5")}},
		Search: []string{"ns.svc", "svc"}, Dots: 2, Timeout: 2 * time.Second, Attempts: 2,
	}
	for _, s := range servers {
		c.Servers = append(c.Servers, s.address)
	}
	return New(c)
}

func texts(addresses []netip.Addr) string {
	var all []string
	for _, address := range addresses {
		all = append(all, address.String())
	}
	return strings.Join(all, " ")
}

func TestLookup(t *testing.T) {
	s := (&server{zone: zone{
		"registry.svc.": {"10.0.0.1", "fd00::1"}, "registry.": {"10.9.9.9"}, "ghcr.example.com.": {"10.0.0.2", "10.0.0.3"},
		"six.example.com.": {"fd00::6"}, "empty.": {}, "long." + strings.Repeat("a", 60) + ".": {"10.0.0.4"},
	}}).start(t)
	r := newResolver(s)
	for host, want := range map[string]string{
		"registry": "10.0.0.1 fd00::1", "REGISTRY.": "10.9.9.9", "ghcr.example.com": "10.0.0.2 10.0.0.3", "six.example.com": "fd00::6",
		"pod": "10.0.0.5", "POD.": "10.0.0.5", "10.1.2.3": "10.1.2.3", "fd00::9": "fd00::9", "long." + strings.Repeat("a", 60): "10.0.0.4",
	} {
		got, err := r.Lookup(t.Context(), host)
		if err != nil || texts(got) != want {
			t.Errorf("%s: %s, %v; want %s", host, texts(got), err, want)
		}
	}
	for _, host := range []string{"nobody", "empty", "", strings.Repeat("a.", 200), strings.Repeat("a", 70) + ".example"} {
		_, err := r.Lookup(t.Context(), host)
		if failed, ok := errors.AsType[*net.DNSError](err); !ok || !failed.IsNotFound {
			t.Errorf("%q: %v", host, err)
		}
	}
}

// The order of names is that of the search list.
func TestLookupOrder(t *testing.T) {
	s := (&server{zone: zone{"registry.": {"10.0.0.1"}}}).start(t)
	r := newResolver(s)
	r.config.Timeout = time.Minute // no question comes twice
	if _, err := r.Lookup(t.Context(), "registry"); err != nil {
		t.Fatal(err)
	}
	want := []string{"udp registry. A", "udp registry. AAAA", "udp registry.ns.svc. A", "udp registry.ns.svc. AAAA", "udp registry.svc. A", "udp registry.svc. AAAA"}
	if got := s.questions(); !slices.Equal(got, want) {
		t.Errorf("asked %q", got)
	}
}

func TestLookupByTCP(t *testing.T) {
	s := (&server{cut: true, zone: zone{"a.b.registry.": {"10.0.0.1"}}}).start(t)
	got, err := newResolver(s).Lookup(t.Context(), "a.b.registry")
	if err != nil || texts(got) != "10.0.0.1" {
		t.Errorf("cut answer: %s, %v", texts(got), err)
	}
	s.questions()
	r := newResolver(s)
	r.config.TCP = true
	if got, err = r.Lookup(t.Context(), "a.b.registry"); err != nil || texts(got) != "10.0.0.1" || slices.ContainsFunc(s.questions(), func(q string) bool { return strings.HasPrefix(q, "udp") }) {
		t.Errorf("use-vc: %s, %v", texts(got), err)
	}
}

// A server that fails or is silent is passed over, and one that knows that a name
// is nobody's is not.
func TestLookupServers(t *testing.T) {
	good := (&server{zone: zone{"a.b.registry.": {"10.0.0.1"}}}).start(t)
	for name, bad := range map[string]*server{
		"fails":   {code: dnsmessage.RCodeServerFailure},
		"refuses": {code: dnsmessage.RCodeRefused},
		"silent":  {deaf: true},
	} {
		r := newResolver(bad.start(t), good)
		if got, err := r.Lookup(t.Context(), "a.b.registry"); err != nil || texts(got) != "10.0.0.1" {
			t.Errorf("%s: %s, %v", name, texts(got), err)
		}
		_, err := newResolver(bad).Lookup(t.Context(), "a.b.registry.")
		if failed, ok := errors.AsType[*net.DNSError](err); name != "silent" && (!ok || failed.IsNotFound || !failed.IsTemporary) {
			t.Errorf("%s alone: %v", name, err)
		}
	}
	r := newResolver((&server{zone: zone{}}).start(t), good)
	if got, err := r.Lookup(t.Context(), "a.b.registry."); err == nil {
		t.Errorf("nobody's name: %s", texts(got))
	}
	r = newResolver((&server{zone: zone{"a.b.registry.": {"10.0.0.2"}}}).start(t), good)
	r.config.Rotate = true
	seen := map[string]bool{}
	for range 4 {
		got, err := r.Lookup(t.Context(), "a.b.registry.")
		if err != nil {
			t.Fatal(err)
		}
		seen[texts(got)] = true
	}
	if len(seen) != 2 {
		t.Errorf("rotate asks one server alone: %v", seen)
	}
	if _, err := New(Config{Attempts: 1}).Lookup(t.Context(), "registry"); err == nil || !strings.Contains(err.Error(), "no name server") {
		t.Errorf("without a server: %v", err)
	}
}

// A lookup ends with its context.
func TestLookupEnds(t *testing.T) {
	r := newResolver((&server{deaf: true}).start(t))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := r.Lookup(ctx, "registry")
	if failed, ok := errors.AsType[*net.DNSError](err); !ok || !failed.IsTimeout {
		t.Errorf("error %v", err)
	}
}

// Answers with another number, to another name, and questions are none.
func TestForgedAnswers(t *testing.T) {
	forged := func(m dnsmessage.Message) []dnsmessage.Message {
		evil := []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Class: dnsmessage.ClassINET},
			Body:   &dnsmessage.AResource{A: [4]byte{6, 6, 6, 6}},
		}}
		number, other, question := m, m, m
		number.ID++
		other.Questions = []dnsmessage.Question{{Name: dnsmessage.MustNewName("other."), Type: m.Questions[0].Type, Class: dnsmessage.ClassINET}}
		question.Response = false
		all := []dnsmessage.Message{number, other, question}
		for i := range all {
			all[i].Answers = evil
		}
		return all
	}
	s := (&server{zone: zone{"a.b.registry.": {"10.0.0.1"}}, spoil: forged}).start(t)
	if got, err := newResolver(s).Lookup(t.Context(), "a.b.registry."); err != nil || texts(got) != "10.0.0.1" {
		t.Errorf("%s, %v", texts(got), err)
	}
}

// The files are those of the beginning: what is written to them later, by
// whoever shares the pod, has no effect.
func TestFilesAreReadOnce(t *testing.T) {
	s := (&server{zone: zone{"registry.": {"10.0.0.1"}}}).start(t)
	dir := t.TempDir()
	hosts, servers := filepath.Join(dir, "hosts"), filepath.Join(dir, "resolv.conf")
	write := func(path, content string) {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(hosts, "10.0.0.2 mirror\n")
	write(servers, "nameserver 127.0.0.1\n")
	config, err := Read(hosts, servers)
	if err != nil {
		t.Fatal(err)
	}
	config.Servers[0] = s.address // a test has no port 53
	r := New(config)
	write(hosts, "6.6.6.6 mirror registry\n")
	write(servers, "nameserver 6.6.6.6\n")
	for host, want := range map[string]string{"mirror": "10.0.0.2", "registry": "10.0.0.1"} {
		if got, err := r.Lookup(t.Context(), host); err != nil || texts(got) != want {
			t.Errorf("%s: %s, %v", host, texts(got), err)
		}
	}
}

func TestDial(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "here")
			_ = conn.Close()
		}
	}()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	// The first address takes no connection.
	s := (&server{zone: zone{"a.b.registry.": {"127.0.0.9", "127.0.0.1"}}}).start(t)
	conn, err := newResolver(s).DialContext(t.Context(), "tcp", "a.b.registry:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if said, err := io.ReadAll(conn); err != nil || string(said) != "here" {
		t.Errorf("%q, %v", said, err)
	}
	if _, err := newResolver(s).DialContext(t.Context(), "tcp", "nobody.at.all:"+port); !isUnnamed(err) {
		t.Errorf("nobody's name: %v", err)
	}
	_ = listener.Close()
	if _, err := newResolver(s).DialContext(t.Context(), "tcp", "a.b.registry:"+port); err == nil || isUnnamed(err) {
		t.Errorf("nobody listens: %v", err)
	}
}

func isUnnamed(err error) bool {
	_, ok := errors.AsType[*net.DNSError](err)
	return ok
}

// An address that is silent holds the next one back for a moment only.
func TestRace(t *testing.T) {
	first, second := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	ours, theirs := net.Pipe()
	defer theirs.Close()
	conn, err := race(t.Context(), []netip.Addr{first, second}, func(ctx context.Context, address netip.Addr) (net.Conn, error) {
		if address == first {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return ours, nil
	})
	if err != nil || conn != ours {
		t.Errorf("%v, %v", conn, err)
	}
	_ = ours.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = race(ctx, []netip.Addr{first}, func(ctx context.Context, _ netip.Addr) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
