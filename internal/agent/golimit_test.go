package agent_test

import (
	"os"
	"os/exec"
	"testing"

	"kiln/internal/agent"
)

// TestStarts compares with what Go's runtime does: this test, as a program, is started with
// each limit.
func TestStarts(t *testing.T) {
	for limit, want := range map[string]bool{
		"": true, "off": true, "0": true, "1073741824": true, "512B": true, "2GiB": true, "64KiB": true, "1TiB": true,
		"999999999999999999": true, "999999999GiB": true, "999999TiB": true,
		"2G": false, "512MB": false, "1.5GiB": false, "OFF": false, "GiB": false, "-1": false, " 1GiB": false, "1gib": false, "1PiB": false,
		"99999999999999999999": false,
	} {
		program := exec.Command(os.Args[0], "-test.run=^$")
		program.Env = append(os.Environ(), agent.MemoryVariable+"="+limit)
		if started := program.Run() == nil; started != want {
			t.Errorf("%q: a program in Go starts: %t, want %t", limit, started, want)
		}
		if got := agent.Starts(limit); got != want {
			t.Errorf("Starts(%q) = %t, want %t", limit, got, want)
		}
	}
}
