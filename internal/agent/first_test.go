package agent

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestInsistsOnFirst: what an action starts with tells whether it may need to be the first
// process of its container.
func TestInsistsOnFirst(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"plain":   "#!/bin/sh\necho hello\n",
		"ender":   "#!/bin/sh\ntrap 'kill 0' EXIT\n",
		"writer":  "#!/bin/bash\nexec > >(tee log)\n",
		"starter": "#!/bin/sh\nexec /sbin/init\n",
		"binary":  "\x7fELF\x00kill",
		"text":    "no script, but pkill is in it",
		"long":    "#!/bin/sh\n" + strings.Repeat("# a long comment\n", maxScript/16) + "kill 1\n",
		"sudo":    "#!/bin/sh\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	setuid := filepath.Join(dir, "setuid")
	if err := errors.Join(os.WriteFile(setuid, nil, 0o755), os.Chmod(setuid, 0o755|os.ModeSetuid)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	if hasInit() {
		t.Skip("this machine has an init outside PATH")
	}
	t.Setenv("GODEBUG", "")
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, tt := range []struct {
		argv []string
		want bool
	}{
		{[]string{"plain"}, false},
		{[]string{in("plain"), "a", "b"}, false},
		{[]string{"ender"}, true},
		{[]string{"starter"}, true},
		{[]string{"binary"}, false},
		{[]string{"sh", in("ender")}, true},
		{[]string{"bash", "-eu", "-c", "pkill -f server"}, true},
		{[]string{"sh", "-c", "echo hello"}, false},
		{[]string{"cat", in("text")}, true},
		{[]string{"long"}, false},
		{[]string{"writer"}, true},
		{[]string{"/bin/bash", "-e", "-o", "pipefail", in("ender")}, true},
		{append(slices.Repeat([]string{"a"}, maxWords), in("ender")), false},
		{[]string{"/sbin/init"}, true},
		{[]string{"/lib/systemd/systemd"}, true},
		{[]string{"/opt/tini", "--", "plain"}, true},
		{[]string{"busybox", "init"}, true},
		{[]string{"busybox", "sh"}, false},
		{[]string{"sudo", "plain"}, os.Getuid() != 0},
		{[]string{setuid}, os.Getuid() != 0},
		{[]string{"sh", "-c", "exec sudo -E run"}, os.Getuid() != 0},
		{[]string{"absent"}, false},
		{[]string{dir}, false},
	} {
		if got := insistsOnFirst(tt.argv); got != tt.want {
			t.Errorf("%q: %v, want %v", tt.argv, got, tt.want)
		}
	}
	t.Setenv(InitVariable, "off")
	if !insistsOnFirst([]string{"plain"}) {
		t.Errorf("%s=off changes nothing", InitVariable)
	}
}
