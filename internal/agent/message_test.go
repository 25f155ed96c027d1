package agent

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// A call arrives as it was sent, whatever bytes are in it.
func TestCallRoundTrip(t *testing.T) {
	text := rapid.StringOf(rapid.RuneFrom([]rune("a=/ \n\"'$é\u00ff")))
	rapid.Check(t, func(t *rapid.T) {
		want := request{descriptors: rapid.IntRange(0, 1).Draw(t, "descriptors"), call: Call{
			Argv:    rapid.SliceOfN(text, 1, 5).Draw(t, "argv"),
			Env:     rapid.SliceOfN(rapid.Map(text, func(s string) string { return "K\xff=" + s }), 1, 5).Draw(t, "env"),
			Prepend: rapid.SliceOfN(text, 1, 3).Draw(t, "prepend"),
			Dir:     text.Draw(t, "dir"),
			Limits:  []Limit{{unix.RLIMIT_NOFILE, rapid.Uint64Range(0, 9).Draw(t, "soft"), unix.RLIM_INFINITY}},
		}}
		got, err := parseRequest(want.encode())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(request{})); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestCallRefused(t *testing.T) {
	whole := request{call: Call{Argv: []string{"sh", "-c"}, Env: []string{"A=b"}}}.encode()
	for name, payload := range map[string][]byte{
		"nothing":             {},
		"another version":     {Version + 1, 0},
		"cut":                 whole[:len(whole)-3],
		"more behind it":      append(bytes.Clone(whole), 0),
		"a list without end":  {Version, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f},
		"a string too long":   {Version, 0, 0xff, 0xff, 0x0f},
		"an endless number":   append([]byte{Version, 0}, bytes.Repeat([]byte{0xff}, 20)...),
		"no program":          request{}.encode(),
		"a NUL":               request{call: Call{Argv: []string{"a\x00b"}}}.encode(),
		"a variable unnamed":  request{call: Call{Argv: []string{"a"}, Env: []string{"=b"}}}.encode(),
		"no variable":         request{call: Call{Argv: []string{"a"}, Env: []string{"b"}}}.encode(),
		"a strange resource":  request{call: Call{Argv: []string{"a"}, Limits: []Limit{{99, 0, 0}}}}.encode(),
		"soft above hard":     request{call: Call{Argv: []string{"a"}, Limits: []Limit{{7, 2, 1}}}}.encode(),
		"more limits than be": request{call: Call{Argv: []string{"a"}, Limits: make([]Limit, 17)}}.encode(),
	} {
		if got, err := parseRequest(payload); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// What is announced costs nothing until it arrives, and never more than a limit.
func TestFrameRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		data []byte
		want error
	}{
		"nothing":           {nil, io.EOF},
		"half a header":     {[]byte{'C', 0}, io.ErrUnexpectedEOF},
		"half a payload":    {[]byte{'C', 0, 0, 0, 9, 'x'}, io.ErrUnexpectedEOF},
		"HTTP":              {[]byte("GET / HTTP/1.1\r\n"), errForm},
		"a call of 4 GiB":   {[]byte{'C', 0xff, 0xff, 0xff, 0xff}, errForm},
		"a signal of 2":     {[]byte{'S', 0, 0, 0, 2, 1, 1}, errForm},
		"an unknown letter": {[]byte{'z', 0, 0, 0, 0}, errForm},
	} {
		if f, err := readFrame(bytes.NewReader(tt.data)); !errors.Is(err, tt.want) {
			t.Errorf("%s: %+v, %v; want %v", name, f, err, tt.want)
		}
	}
	announced := []byte{'C', 0, 0x3f, 0xff, 0xff, 'x'}
	if n := testing.AllocsPerRun(10, func() { _, _ = readFrame(bytes.NewReader(announced)) }); n > 20 {
		t.Errorf("%v allocations for one byte", n)
	}
	f, err := readFrame(bytes.NewReader(announced))
	if !errors.Is(err, io.ErrUnexpectedEOF) || cap(f.payload) > 64<<10 {
		t.Errorf("%d bytes kept for one byte, %v", cap(f.payload), err)
	}
}

func FuzzRequest(f *testing.F) {
	f.Add(request{descriptors: 1, call: Call{
		Argv: []string{"sh", "-e", "/x"}, Env: []string{"A=b"}, Prepend: []string{"/p"}, Dir: "/w",
		Limits: []Limit{{7, 1, 2}},
	}}.encode())
	f.Add([]byte{Version, 0, 0, 0xff, 0xff, 0x03})
	f.Fuzz(func(t *testing.T, payload []byte) {
		r, err := parseRequest(payload)
		if err != nil {
			return
		}
		if err := r.call.check(); err != nil {
			t.Errorf("parsed, but %v", err)
		}
		again, err := parseRequest(r.encode())
		if diff := cmp.Diff(r, again, cmp.AllowUnexported(request{})); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
	})
}

func FuzzFrames(f *testing.F) {
	f.Add(frame{kindOutput, []byte("text")}.append(frame{kindStarted, []byte{1}}.append(nil)))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		var again []byte
		for {
			read, err := readFrame(r)
			if err != nil {
				break
			}
			again = read.append(again)
		}
		if !bytes.HasPrefix(data, again) {
			t.Errorf("%q was read of %q", again, data)
		}
	})
}

func TestStepEnv(t *testing.T) {
	container := []string{"PATH=/image/bin", "A=1", "B=2"}
	for name, tt := range map[string]struct {
		container []string
		call      Call
		want      []string
	}{
		"the container's":        {container, Call{}, []string{"PATH=/image/bin", "A=1", "B=2", "HOME=/h"}},
		"the call's wins":        {container, Call{Env: []string{"B=x", "C=3", "C=4"}}, []string{"PATH=/image/bin", "A=1", "B=x", "C=4", "HOME=/h"}},
		"a path of the call":     {container, Call{Env: []string{"PATH=/own"}}, []string{"PATH=/own", "A=1", "B=2", "HOME=/h"}},
		"prepended wins over it": {container, Call{Env: []string{"PATH=/own"}, Prepend: []string{"/new", "/old"}}, []string{"PATH=/new:/old:/image/bin", "A=1", "B=2", "HOME=/h"}},
		"no path at all":         {nil, Call{Prepend: []string{"/p"}}, []string{"PATH=/p:" + defaultPath, "HOME=/h"}},
		"an empty home":          {[]string{"PATH=/b", "HOME="}, Call{}, []string{"PATH=/b", "HOME=/h"}},
		"a home of the call":     {[]string{"PATH=/b", "HOME=/c"}, Call{Env: []string{"HOME=/d"}}, []string{"PATH=/b", "HOME=/d"}},
	} {
		if diff := cmp.Diff(tt.want, stepEnv(tt.container, tt.call, "/h")); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
	got := containerEnv([]string{"KUBERNETES_SERVICE_HOST=x", "KUBERNETES_PORT_443_TCP=x", "KUBERNETES_PORT=x", "KUBERNETES_NAMESPACE=mine", "A=b", "B=c", "BB="}, []string{"B", "C"})
	if diff := cmp.Diff([]string{"KUBERNETES_NAMESPACE=mine", "A=b", "BB="}, got); diff != "" {
		t.Error(diff)
	}
}

func TestFindHome(t *testing.T) {
	const passwd = "root:x:0:0:root:/root:/bin/sh\nbroken\nnode:x:1000:1000::/home/node:/bin/sh\nnone:x:7:7:::\n"
	for uid, want := range map[int]string{0: "/root", 1000: "/home/node", 7: "/", 9: "/"} {
		if got := findHome(strings.NewReader(passwd), uid); got != want {
			t.Errorf("%d: %q, want %q", uid, got, want)
		}
	}
}

func TestParseStat(t *testing.T) {
	for line, want := range map[string]process{
		"7 (sh) S 3 5 4 0 -1":            {pid: 7, parent: 3, session: 4},
		"7 (a) Z 9 9 (b) ) Z 3 5 4 0 -1": {pid: 7, parent: 3, session: 4, dead: true},
	} {
		if got, ok := parseStat(7, []byte(line)); !ok || got != want {
			t.Errorf("%q: %+v, %v", line, got, ok)
		}
	}
	for _, line := range []string{"", "7 (sh", "7 (sh) S", "7 (sh) S x 5 y"} {
		if got, ok := parseStat(7, []byte(line)); ok {
			t.Errorf("%q: %+v", line, got)
		}
	}
}

func TestBelow(t *testing.T) {
	processes := table{
		{pid: 10, parent: 1, session: 10, dead: true}, // the leader
		{pid: 11, parent: 10, session: 10},
		{pid: 12, parent: 11, session: 12}, // left the session, not its parents
		{pid: 13, parent: 1, session: 10},  // left its parents, not the session
		{pid: 20, parent: 1, session: 20},  // another step
	}
	if diff := cmp.Diff([]int{11, 13}, processes.members(10)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int{11, 13, 12}, processes.below(10)); diff != "" {
		t.Error(diff)
	}
}
