package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kiln/internal/agent"
	"kiln/internal/failure"
	"kiln/internal/jobdir"
)

// TestShutDoor has an agent that answers nowhere: somebody else listens at both
// ways and says nothing. What may be the reason is said, in bounded time.
func TestShutDoor(t *testing.T) {
	work := t.TempDir()
	dir, err := jobdir.Make(work)
	if err != nil {
		t.Fatal(err)
	}
	var address string
	for network, at := range map[string]string{"unix": dir.Door(), "tcp": "127.0.0.1:0"} {
		listener, err := net.Listen(network, at)
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		if network == "tcp" {
			address = listener.Addr().String()
		}
	}
	for known, says := range map[string]string{address: address, "": "an address"} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		err = (&job{Address: known, Secret: jobSecret}).findDoor(ctx, dir)
		if failure.Of(err) != failure.NotStarted || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "SELinux, AppArmor or a sandbox") {
			t.Errorf("%v", err)
		}
	}
	j := job{Address: address, Secret: jobSecret}
	cause := errors.New("the runner's signal")
	stopped, stop := context.WithCancelCause(t.Context())
	stop(cause)
	if err := j.findDoor(stopped, dir); !errors.Is(err, cause) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestForeignDoor has another pod's agent at the job's socket, as one is there that ends
// only after a prepare_job was begun anew: it is no answer, and the job's own is one as
// soon as it is there.
func TestForeignDoor(t *testing.T) {
	work := t.TempDir()
	dir, err := jobdir.Make(work)
	if err != nil {
		t.Fatal(err)
	}
	anAgent(t, dir, "of another pod's")
	met, stop := context.WithCancel(t.Context())
	defer stop()
	heard := <-knock(met, agent.Door{Socket: dir.Door()}, func(agent.Mark) bool { stop(); return false })
	if !errors.Is(heard.err, errForeign) {
		t.Errorf("%+v", heard)
	}
	j := job{Secret: jobSecret}
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err = j.findDoor(short, dir)
	if failure.Of(err) != failure.NotStarted || j.Door != "" {
		t.Fatalf("another pod's agent is an answer: %+v, %v", j, err)
	}
	found := make(chan error, 1)
	go func() { found <- j.findDoor(t.Context(), dir) }()
	address := anAgent(t, dir, jobSecret)
	if err := <-found; err != nil || j.Door != waySocket {
		t.Errorf("%+v, %v", j, err)
	}
	if conn, err := net.Dial("tcp", address); err == nil {
		conn.Close()
		t.Error("its agent still listens at an address that nobody will use")
	}
}

// TestState wants what other sides wrote in a response kept, and nonsense named.
func TestState(t *testing.T) {
	own := job{Dir: "d", Door: waySocket, Externals: "/e"}
	got, err := own.complete(json.RawMessage(`{"isAlpine":false,"state":{"jobPod":"p","kiln":{"dir":"x","secret":"s","n":12345678901234567890}},"context":{"services":[]}}`))
	want := `{"context":{"services":[]},"isAlpine":false,"state":{"jobPod":"p","kiln":{"dir":"d","door":"socket","externals":"/e","n":12345678901234567890,"secret":"s"}}}`
	if err != nil || cmp.Diff(want, string(got)) != "" {
		t.Errorf("%s, %v", got, err)
	}
	for _, text := range []string{``, `{}`, `null`, `{"state":null}`} {
		got, err := own.complete(json.RawMessage(text))
		if err != nil || !strings.Contains(string(got), `"state":{"kiln":{"dir":"d"`) {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{`[]`, `{"state":7}`, `{"state":{"kiln":"x"}}`, `{`} {
		if got, err := own.complete(json.RawMessage(text)); err == nil {
			t.Errorf("%q: %s", text, got)
		}
	}
	for _, text := range []string{``, `{}`, `{"jobPod":"of another hook"}`, `{"kiln":null}`} {
		if _, err := readJob(json.RawMessage(text)); !errors.Is(err, errNoJob) {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, j := range []job{{}, {Dir: "../../etc", Door: waySocket}, {Dir: strings.Repeat("0", 32)}, {Dir: strings.Repeat("0", 32), Door: wayTCP}} {
		if door, err := j.door(t.TempDir()); err == nil {
			t.Errorf("%+v leads to %+v", j, door)
		}
	}
}

// TestWorkFolder finds it where a runner has another than usual.
func TestWorkFolder(t *testing.T) {
	for name, tt := range map[string]struct{ workspace, checkout, want string }{
		"usual":    {"/home/runner/_work/app", "/home/runner/_work/app/app", "/home/runner/_work"},
		"its own":  {"/mnt/x y/app", "", "/mnt/x y"},
		"checkout": {"", "/mnt/work/app/app", "/mnt/work"},
		"unset":    {"", "", ""},
		"relative": {"work/app", "", ""},
		"the root": {"/app", "", ""},
	} {
		t.Setenv("RUNNER_WORKSPACE", tt.workspace)
		t.Setenv("GITHUB_WORKSPACE", tt.checkout)
		if got, err := workFolder(); got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s: %q, %v; want %q", name, got, err, tt.want)
		}
	}
}

// TestResponseFile is not written through a link that somebody put there.
func TestResponseFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "response.json")
	for _, text := range []string{`{"isAlpine":false}`, "{}"} {
		if err := writeResponse(file, json.RawMessage(text)); err != nil {
			t.Error(err)
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != text+"\n" {
			t.Errorf("%q, %v", got, err)
		}
	}
	if err := writeResponse(filepath.Join(dir, "none", "response.json"), json.RawMessage("{}")); err == nil {
		t.Error("no directory is no error")
	}
	if err := writeResponse("", json.RawMessage("{}")); err != nil {
		t.Errorf("a caller without a response: %v", err)
	}
}
