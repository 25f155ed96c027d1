package agent

import (
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"kiln/internal/children"
)

// A client is told that its step ended with the container before it is told how, and not
// where the step had ended by itself.
func TestFinish(t *testing.T) {
	set := children.Own()
	defer set.Release()
	for name, tt := range map[string]struct {
		script  string
		ended   bool // before anything else
		stopped bool
		want    []byte
	}{
		"with its container": {"read x", false, true, frames(frame{kind: kindStopping}, frame{kindSignalled, []byte{byte(syscall.SIGTERM)}})},
		"before it":          {"exit 3", true, true, frames(frame{kindExited, []byte{3}})},
		"by itself":          {"exit 3", false, false, frames(frame{kindExited, []byte{3}})},
	} {
		t.Run(name, func(t *testing.T) {
			input, end, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer input.Close()
			defer end.Close()
			child, err := set.Start("/bin/sh", []string{"sh", "-c", tt.script}, &syscall.ProcAttr{
				Files: []uintptr{input.Fd()}, Sys: &syscall.SysProcAttr{Setsid: true},
			})
			if err != nil {
				t.Fatal(err)
			}
			running := &step{child: child, before: readKilled(cgroup)}
			if tt.ended {
				child.Wait()
			}
			if tt.stopped {
				running.stop()
			}
			client, conn := net.Pipe()
			go func() {
				(&peer{conn}).finish(running)
				_ = conn.Close()
			}()
			if got, err := io.ReadAll(client); err != nil || string(got) != string(tt.want) {
				t.Errorf("%q, %v; want %q", got, err, tt.want)
			}
		})
	}
}
