package agent_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"kiln/internal/agent"
)

// header begins a frame of the wire.
func header(kind byte, length int) []byte {
	return []byte{kind, byte(length >> 24), byte(length >> 16), byte(length >> 8), byte(length)}
}

// callOf is a call on the wire that says how many descriptors come with it.
func callOf(descriptors byte, argv ...string) []byte {
	payload := []byte{agent.Version, descriptors, 0, byte(len(argv))}
	for _, item := range argv {
		payload = append(append(payload, byte(len(item))), item...)
	}
	payload = append(payload, 0, 0, 0)
	return append(header('C', len(payload)), payload...)
}

// pipes returns n descriptors that are one write end, and its read end.
func pipes(t *testing.T, n int) (read *os.File, descriptors []int) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = read.Close(), write.Close() })
	for range n {
		descriptors = append(descriptors, int(write.Fd()))
	}
	return read, descriptors
}

// descriptors is how many descriptors the agent has open.
func (c *container) descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", c.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// Whatever a peer sends, the agent answers or hangs up, keeps nothing of it, and
// serves the next one.
func TestHostilePeers(t *testing.T) {
	c := start(t)
	run(t, c.unix, sh("true")) // the runtime's own descriptors are there
	before := c.descriptors(t)
	for name, tt := range map[string]struct {
		data        []byte
		descriptors int
		answer      string // the kinds of frames that begin the answer
	}{
		"HTTP":                   {[]byte("GET / HTTP/1.1\r\n\r\n"), 0, "R"},
		"a length of 4 GiB":      {header('C', -1), 0, "R"},
		"half a header, ends":    {[]byte{'C', 0}, 0, ""},
		"half a call, ends":      {append(header('C', 1000), 'x'), 1, ""},
		"a call of nonsense":     {append(header('C', 3), 9, 9, 9), 1, "R"},
		"an answer":              {header('D', 0), 0, "R"},
		"a signal":               {append(header('S', 1), 9), 0, "R"},
		"a secret on the socket": {append(header('K', 1), 9), 0, "R"},
		"no descriptor":          {callOf(1, "echo", "x"), 0, "BOE"},
		"a descriptor too many":  {callOf(1, "echo", "x"), 2, "R"},
		"an unannounced one":     {callOf(0, "echo", "x"), 1, "R"},
		"as many as go":          {callOf(1, "echo", "x"), 253, "R"},
		"a probe with as many":   {append(header('P', 1), 1), 253, "W"},
		"signals of nonsense":    {append(callOf(1, "sleep", "60"), append(header('S', 1), 0)...), 1, "B"},
		"two calls":              {append(callOf(1, "sleep", "60"), callOf(1, "true")...), 1, "B"},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("unix", c.unix.Socket)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_, descriptors := pipes(t, tt.descriptors)
			peer := conn.(*net.UnixConn)
			if _, _, err := peer.WriteMsgUnix(tt.data, unix.UnixRights(descriptors...), nil); err != nil {
				t.Fatal(err)
			}
			if tt.answer == "" {
				_ = peer.CloseWrite()
			}
			if got := kinds(t, peer); !strings.HasPrefix(got, tt.answer) || tt.answer == "" && got != "" {
				t.Errorf("answered %q, want %q", got, tt.answer)
			}
			_ = conn.Close()
			eventually(t, "its descriptors are closed", func() bool { return c.descriptors(t) <= before })
		})
	}
	if outcome, said := run(t, c.unix, sh("echo well")); outcome.Code != 0 || said != "well\n" {
		t.Errorf("%+v, %q", outcome, said)
	}
}

// kinds reads frames to the end of a connection.
func kinds(t *testing.T, conn io.Reader) string {
	t.Helper()
	data, err := io.ReadAll(conn)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Fatal(err)
	}
	var got []byte
	for len(data) >= 5 {
		got = append(got, data[0])
		data = data[min(len(data), 5+(int(data[1])<<24|int(data[2])<<16|int(data[3])<<8|int(data[4]))):]
	}
	return string(got)
}

// A peer that says nothing and one that never reads its step's output keep no other
// from its step.
func TestSilentPeers(t *testing.T) {
	c := start(t)
	conn, err := net.Dial("unix", c.unix.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	reader, err := net.Dial("unix", c.unix.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if _, err := reader.Write(callOf(1, "yes")); err != nil { // relayed, and not read
		t.Fatal(err)
	}
	if outcome, said := run(t, c.unix, sh("echo well")); outcome.Code != 0 || said != "well\n" {
		t.Errorf("%+v, %q", outcome, said)
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", c.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	var size, resident int
	if _, err := fmt.Fscan(bytes.NewReader(text), &size, &resident); err != nil || resident*os.Getpagesize() > 64<<20 {
		t.Errorf("%d pages, %v", resident, err)
	}
}

// Strangers that connect over TCP and say nothing keep nobody waiting who has the
// secret, not even where they are more than are heard at a time.
func TestSilentStrangers(t *testing.T) {
	for _, many := range []int{100, 600} {
		t.Run(strconv.Itoa(many), func(t *testing.T) {
			t.Parallel()
			c := start(t)
			for range many {
				conn, err := net.Dial("tcp", c.tcp.TCP)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
			}
			ctx, cancel := context.WithTimeout(t.Context(), hang) // 100 of them, eight at a time, take longer
			defer cancel()
			var said bytes.Buffer
			outcome, err := c.tcp.Run(ctx, agent.Step{Call: sh("echo well"), Output: &said})
			if err != nil || outcome.Code != 0 || said.String() != "well\n" {
				t.Errorf("%+v, %q, %v", outcome, said.String(), err)
			}
			eventually(t, "they are hung up on", func() bool { return c.descriptors(t) < 20 })
		})
	}
}

// An agent that is called by its socket alone does not listen for others any more, and
// what runs goes on. Nobody can tell it so over TCP.
func TestAlone(t *testing.T) {
	c := start(t)
	if err := c.tcp.Alone(t.Context()); !isRefused(err) {
		t.Errorf("over TCP: %v", err)
	}
	long := begin(t, c.tcp, "echo begun; sleep 0.3; echo ended")
	long.line(t)
	if err := c.unix.Alone(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.tcp.Probe(t.Context()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("it still listens: %v", err)
	}
	if err := c.unix.Alone(t.Context()); err != nil {
		t.Errorf("said again: %v", err)
	}
	if said := long.line(t); said != "ended" {
		t.Error(said)
	}
	if outcome, said := run(t, c.unix, sh("echo well")); outcome.Code != 0 || said != "well\n" {
		t.Errorf("%+v, %q", outcome, said)
	}
}

func isRefused(err error) bool {
	_, is := errors.AsType[*agent.RefusedError](err)
	return is
}

// Over TCP nothing of a stranger is read but the secret.
func TestSecret(t *testing.T) {
	c := start(t)
	for name, given := range map[string][]byte{
		"none": {}, "another": []byte(strings.Repeat("x", len(secret))),
		"a part": []byte(secret[:len(secret)-1]), "more": []byte(secret + "0"),
	} {
		_, err := agent.Door{TCP: c.tcp.TCP, Secret: given}.Run(t.Context(), agent.Step{Call: sh("echo x"), Output: io.Discard})
		refused, ok := errors.AsType[*agent.RefusedError](err)
		if !ok || !strings.Contains(refused.Why, "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	conn, err := net.Dial("tcp", c.tcp.TCP)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(callOf(0, "echo", "x")); err != nil {
		t.Fatal(err)
	}
	if got := kinds(t, conn); got != "R" {
		t.Errorf("a call without secret: %q", got)
	}
	err = agent.Serve(t.Context(), agent.Config{TCP: "127.0.0.1:0", Secret: []byte("short"), Log: io.Discard})
	if err == nil || !strings.Contains(err.Error(), "5 bytes") {
		t.Error(err)
	}
}
