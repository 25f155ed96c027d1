package agent_test

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"kiln/internal/agent"
)

// TestTryDoor: an agent answers, and its socket is not left.
func TestTryDoor(t *testing.T) {
	c := start(t)
	var said strings.Builder
	if code := agent.TryDoor([]string{c.unix.Socket}, &said); code != 0 || said.String() != "" {
		t.Errorf("%d, %q", code, said.String())
	}
	if _, err := os.Lstat(c.unix.Socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket: %v", err)
	}
	if code := agent.TryDoor(nil, &said); code != 2 || !strings.Contains(said.String(), "the path of a socket") {
		t.Errorf("%d, %q", code, said.String())
	}
}
