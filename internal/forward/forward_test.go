package forward_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kiln/internal/failure"
	"kiln/internal/forward"
	"kiln/internal/freeport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// within bounds what a test waits for.
const within = 20 * time.Second

// tcpService answers each connection with "echo " and what it read until its end.
func tcpService(t *testing.T, address string) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				text, err := io.ReadAll(conn)
				if err == nil {
					_, _ = fmt.Fprintf(conn, "echo %s", text)
				}
			}()
		}
	}()
	return netip.MustParseAddrPort(l.Addr().String())
}

// udpService answers each datagram with "echo " and what it is.
func udpService(t *testing.T) netip.AddrPort {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	go func() {
		datagram := make([]byte, 1000)
		for {
			n, from, err := c.ReadFrom(datagram)
			if err != nil {
				return
			}
			_, _ = c.WriteTo(append([]byte("echo "), datagram[:n]...), from)
		}
	}()
	return netip.MustParseAddrPort(c.LocalAddr().String())
}

// open opens rules until the test's end.
func open(t *testing.T, rules ...forward.Rule) (*forward.Forwarder, []forward.Rule) {
	t.Helper()
	f, made, err := forward.Open(rules)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f, made
}

// freePort is a port that was free.
func freePort(t *testing.T) uint16 {
	t.Helper()
	port, err := freeport.Find()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// dial connects to a port of this machine.
func dial(t *testing.T, network, host string, port uint16) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout(network, net.JoinHostPort(host, fmt.Sprint(port)), within)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(within))
	return conn
}

// ask says text to a TCP port, ends its side, and returns the answer.
func ask(t *testing.T, host string, port uint16, text string) string {
	t.Helper()
	conn := dial(t, "tcp", host, port)
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

// families are the addresses that this machine has of its own.
func families(t *testing.T) []string {
	t.Helper()
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		return []string{"127.0.0.1"}
	}
	_ = l.Close()
	return []string{"127.0.0.1", "::1"}
}

// TestTCP: an answer comes after the client's end, in both address families, and for
// a service that has stopped and come again.
func TestTCP(t *testing.T) {
	_, made := open(t, forward.Rule{Service: "a", Protocol: "tcp", Target: tcpService(t, "127.0.0.1:0")})
	large := strings.Repeat("x", 1<<20)
	for _, host := range families(t) {
		for _, text := range []string{"hello", large} {
			if got := ask(t, host, made[0].Host, text); got != "echo "+text {
				t.Errorf("answer at %s of %d bytes, want %d", host, len(got), len(text)+5)
			}
		}
	}
}

// TestServiceGone: a service that is not there is a reset, and it may come back.
func TestServiceGone(t *testing.T) {
	target := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), freePort(t))
	_, made := open(t, forward.Rule{Service: "a", Protocol: "tcp", Target: target})
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", made[0].Host), within)
	if err == nil { // else the reset was there before the client looked
		_, err = conn.Read(make([]byte, 1))
		_ = conn.Close()
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the connection = %v, want a reset", err)
	}
	tcpService(t, target.String())
	if got := ask(t, "127.0.0.1", made[0].Host, "again"); got != "echo again" {
		t.Errorf("answer %q", got)
	}
}

// TestUDP: each client gets its own answers.
func TestUDP(t *testing.T) {
	_, made := open(t, forward.Rule{Service: "a", Protocol: "udp", Target: udpService(t)})
	for _, host := range families(t) {
		for _, text := range []string{"one", "two"} {
			conn := dial(t, "udp", host, made[0].Host)
			for range 2 {
				if _, err := io.WriteString(conn, text); err != nil {
					t.Fatal(err)
				}
				answer := make([]byte, 100)
				n, err := conn.Read(answer)
				if err != nil || string(answer[:n]) != "echo "+text {
					t.Errorf("answer %q, %v", answer[:n], err)
				}
			}
		}
	}
}

// TestClose ends connections that are open, and frees the port.
func TestClose(t *testing.T) {
	tcp, udp := tcpService(t, "127.0.0.1:0"), udpService(t)
	f, made := open(t, forward.Rule{Service: "a", Protocol: "tcp", Host: freePort(t), Target: tcp}, forward.Rule{Service: "a", Protocol: "udp", Host: freePort(t), Target: udp})
	conn := dial(t, "tcp", "127.0.0.1", made[0].Host)
	datagrams := dial(t, "udp", "127.0.0.1", made[1].Host)
	if _, err := io.WriteString(datagrams, "x"); err != nil {
		t.Fatal(err)
	}
	if _, err := datagrams.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, syscall.ETIMEDOUT) {
		t.Errorf("read after the end = %v", err)
	}
	_, again := open(t, made...)
	if again[0] != made[0] || again[1] != made[1] {
		t.Errorf("opened again: %v, want %v", again, made)
	}
}

// TestReopen opens the ports that it can.
func TestReopen(t *testing.T) {
	target := tcpService(t, "127.0.0.1:0")
	f, made := open(t, forward.Rule{Service: "a", Protocol: "tcp", Host: freePort(t), Target: target}, forward.Rule{Service: "b", Protocol: "tcp", Host: freePort(t), Target: target})
	f.Close()
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", made[0].Host))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	again, err := forward.Reopen(made)
	t.Cleanup(again.Close)
	if err == nil || !strings.Contains(err.Error(), "for the service a is taken") || strings.Contains(err.Error(), "service b") {
		t.Errorf("Reopen = %v", err)
	}
	if got := ask(t, "127.0.0.1", made[1].Host, "hello"); got != "echo hello" {
		t.Errorf("answer %q", got)
	}
}

// TestUDPMemory: clients that have been heard take no memory that a datagram would.
func TestUDPMemory(t *testing.T) {
	_, made := open(t, forward.Rule{Service: "a", Protocol: "udp", Target: udpService(t)})
	const clients = 400
	before := heap()
	for range clients {
		conn := dial(t, "udp", "127.0.0.1", made[0].Host)
		if _, err := io.WriteString(conn, "x"); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
	}
	if more := heap() - before; more > clients*16<<10 {
		t.Errorf("%d clients take %d KiB", clients, more>>10)
	}
}

// heap is what the heap has in use.
func heap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapInuse) //nolint:gosec // it is far from there
}

// TestPorts: a port that is taken or wanted twice is the author's to change, and
// nothing stays open then.
func TestPorts(t *testing.T) {
	target := netip.MustParseAddrPort("127.0.0.1:1")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := netip.MustParseAddrPort(l.Addr().String()).Port()
	for name, test := range map[string]struct {
		rules []forward.Rule
		want  string
	}{
		"taken": {
			[]forward.Rule{{Service: "a", Protocol: "tcp", Target: target}, {Service: "b", Protocol: "tcp", Host: taken, Target: target}},
			fmt.Sprintf("ports: the port %d/tcp for the service b is taken in the runner pod; map another one, as %d:PORT", taken, int(taken)%50_000+10_000),
		},
		"too many": {slices.Repeat([]forward.Rule{{Service: "a", Protocol: "tcp", Target: target}}, 201), "ports: the services of the job want 201 ports of the runner, of which kiln opens 200 at most"},
		"twice": {
			[]forward.Rule{{Service: "a", Protocol: "udp", Host: 53, Target: target}, {Service: "b", Protocol: "udp", Host: 53, Target: target}},
			"ports: the services a and b both want the port 53/udp of the runner; map one of them to another",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := forward.Open(test.rules)
			if err == nil || !strings.HasPrefix(err.Error(), test.want) || failure.Of(err) != failure.BadRequest {
				t.Errorf("Open = %v, want %s", err, test.want)
			}
		})
	}
	// One number for both protocols is two ports.
	_, made := open(t, forward.Rule{Service: "a", Protocol: "tcp", Target: target})
	open(t, forward.Rule{Service: "a", Protocol: "udp", Host: made[0].Host, Target: target})
}
