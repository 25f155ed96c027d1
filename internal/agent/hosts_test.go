package agent_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kiln/internal/agent"
)

// TestAddHosts: all lines are added, or none.
func TestAddHosts(t *testing.T) {
	const before, lines = "127.0.0.1\tlocalhost\n", "10.0.0.1\tdb\n"
	for name, test := range map[string]struct {
		in   string
		code int
		want string // of the file, and of what is said where code is not 0
	}{
		"all":      {lines + agent.HostsEnd, 0, before + lines + agent.HostsEnd},
		"nothing":  {"", 1, "not all of them came: 0 bytes without an end"},
		"cut":      {lines, 1, "not all of them came: 12 bytes without an end"},
		"too much": {strings.Repeat(lines, 1<<13) + agent.HostsEnd, 1, "more than 65536 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "hosts")
			if err := os.WriteFile(file, []byte(before), 0o644); err != nil {
				t.Fatal(err)
			}
			var said strings.Builder
			code := agent.AddHosts([]string{file}, strings.NewReader(test.in), &said)
			got, err := os.ReadFile(file)
			if err != nil || code != test.code {
				t.Fatalf("exit code %d, %v: %s", code, err, said.String())
			}
			switch {
			case code == 0 && string(got) != test.want:
				t.Errorf("the file is %q, want %q", got, test.want)
			case code != 0 && (string(got) != before || !strings.Contains(said.String(), test.want)):
				t.Errorf("the file is %q, and it says %q", got, said.String())
			}
		})
	}
	var said strings.Builder
	missing := filepath.Join(t.TempDir(), "none")
	if code := agent.AddHosts([]string{missing}, strings.NewReader(agent.HostsEnd), &said); code != 1 || !strings.Contains(said.String(), "no such file") {
		t.Errorf("without a file: exit code %d, %q", code, said.String())
	}
	if code := agent.AddHosts(nil, strings.NewReader(""), &said); code != 2 {
		t.Errorf("without a path: exit code %d", code)
	}
}
