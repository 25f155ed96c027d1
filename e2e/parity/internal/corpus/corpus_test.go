package corpus

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestParse(t *testing.T) {
	c, err := parse([]byte(`What it covers
dockerfile sub/Dockerfile
base a b
slow
chmod 4751 sub/f
symlink sub/l f
hardlink sub/h sub/f
touch 7 sub/g
dir sub/d
tgz sub/a.tar.gz t
sh printf '%s  %s' a b > sub/s && chmod 600 sub/s

Not a step
-- sub/Dockerfile --
FROM a
-- sub/f --
#!/bin/sh
-- sub/g --
-- t/x --
x
`))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	dockerfile, err := c.Write(dir)
	if err != nil {
		t.Fatal(err)
	}
	if c.Covers != "What it covers" || dockerfile != filepath.Join(dir, "sub/Dockerfile") || c.Bases["a"] != "b" || !c.Slow {
		t.Errorf("case = %+v", c)
	}
	stat := func(name string) *syscall.Stat_t {
		var s syscall.Stat_t
		if err := syscall.Lstat(filepath.Join(dir, name), &s); err != nil {
			t.Fatal(err)
		}
		return &s
	}
	if s := stat("sub/f"); s.Mode&0o7777 != 0o4751 || s.Nlink != 2 || s.Mtim.Sec != stamp().Unix() {
		t.Errorf("sub/f has mode %o, %d links and time %d", s.Mode, s.Nlink, s.Mtim.Sec)
	}
	if s := stat("sub/l"); s.Mode&syscall.S_IFMT != syscall.S_IFLNK || s.Mtim.Sec != stamp().Unix() {
		t.Errorf("sub/l has mode %o and time %d", s.Mode, s.Mtim.Sec)
	}
	if s := stat("sub/g"); s.Mtim.Sec != 7 {
		t.Errorf("sub/g has the time %d", s.Mtim.Sec)
	}
	stat("sub/d")
	stat("sub/a.tar.gz")
	if s := stat("sub/s"); s.Mode&0o7777 != 0o600 || s.Size != 4 || s.Mtim.Sec != stamp().Unix() {
		t.Errorf("sub/s has mode %o, %d bytes and time %d", s.Mode, s.Size, s.Mtim.Sec)
	}
	if _, err := os.Lstat(filepath.Join(dir, "t")); err == nil {
		t.Error("what was packed is still there")
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{"", "about\nchmod 755\n", "about\nunknown a\n", "about\ndockerfile\n", "about\nsh\n"} {
		if _, err := parse([]byte(text + "\n-- Dockerfile --\nFROM a\n")); err == nil {
			t.Errorf("parse(%q) = nil, want an error", text)
		}
	}
}

// TestCorpus reads the cases that are kept here, and wants enough of them.
func TestCorpus(t *testing.T) {
	minimum := map[string]int{Reference: 60, Wild: 40, Limits: 1}
	for suite, want := range minimum {
		cases, err := archives(filepath.Join("../../corpus", suite), suite, "sha256:"+strings.Repeat("0", 64))
		if err != nil {
			t.Fatal(err)
		}
		if len(cases) < want {
			t.Errorf("suite %s has %d cases, want %d", suite, len(cases), want)
		}
	}
}

func TestIntegration(t *testing.T) {
	tests := t.TempDir()
	for name, text := range map[string]string{
		"dockerfiles/Dockerfile_a":                  "FROM x:1@sha256:" + strings.Repeat("0", 64) + "\nARG file\nRUN date\nCOPY $file /\n",
		"dockerfiles/Dockerfile_a.dockerignore":     "x\n",
		"dockerfiles/Dockerfile_b":                  "FROM b\n",
		"dockerfiles/Dockerfile_c":                  "FROM c\n",
		"dockerfiles-with-context/issue/Dockerfile": "FROM d\n",
		"dockerfiles-with-context/issue/run":        "#!/bin/sh\n",
	} {
		if err := writeFile(filepath.Join(tests, name), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	list := filepath.Join(t.TempDir(), "list")
	text := "# comment\nskip dockerfiles/Dockerfile_b why\nlimit dockerfiles/Dockerfile_c about it\narg dockerfiles/Dockerfile_a file=a$1\ndrop dockerfiles/Dockerfile_a RUN date\n"
	if err := os.WriteFile(list, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cases, err := integration(list, tests)
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) != 3 || cases[0].ID() != "kaniko/a" || cases[1].ID() != "limits/c" || cases[2].ID() != "kaniko/issue" {
		t.Fatalf("cases = %v", cases)
	}
	dir := t.TempDir()
	dockerfile, err := cases[0].Write(dir)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(dockerfile)
	if err != nil {
		t.Fatal(err)
	}
	if want := "FROM x:1\nARG file=a$1\nCOPY $file /\n"; string(got) != want {
		t.Errorf("Dockerfile = %q, want %q", got, want)
	}
	if _, err := os.Stat(dockerfile + ".dockerignore"); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(list, []byte("skip dockerfiles/none why\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := integration(list, tests); err == nil {
		t.Error("a list with a file that is not there is no error")
	}
}
