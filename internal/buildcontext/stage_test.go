package buildcontext_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kiln/internal/buildcontext"
)

func TestStageEntries(t *testing.T) {
	root := contextDir(t, map[string]string{
		"Dockerfile": "FROM scratch\n", "run.sh": "#!/bin/sh\n", "lib/a": "a", "lib-b": "b", "lib/sub/": "", "empty/": "",
		"up": "-> ../outside", "absolute": "-> /etc/passwd", "self": "-> /self", "to-dir": "-> lib", "dangling": "-> nowhere",
		"mit space": "s", "ümlaut": "u", "raw\xff": "r", "back\\slash": "b", strings.Repeat("n", 255): "n",
	})
	stamp := time.Unix(1700000000, 123456789)
	for name, mode := range map[string]os.FileMode{"run.sh": 0o755, "lib": 0o750 | os.ModeSetgid, "empty": 0o777 | os.ModeSticky, "lib-b": 0o600 | os.ModeSetuid} {
		if err := os.Chmod(filepath.Join(root, name), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(filepath.Join(root, name), stamp, stamp); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(filepath.Join(root, "run.sh"), filepath.Join(root, "twin.sh")); err != nil {
		t.Fatal(err)
	}
	members, sum := stage(t, root)

	var got []string
	for _, m := range members {
		got = append(got, fmt.Sprintf("%c %04o %s %q %q", m.Typeflag, m.Mode, m.Name, m.Linkname, m.Content))
		if m.Uid != 0 || m.Gid != 0 || m.Uname != "" || m.Gname != "" || !m.ModTime.Equal(buildcontext.Time()) {
			t.Errorf("%s has owner %d:%d %q:%q and time %v", m.Name, m.Uid, m.Gid, m.Uname, m.Gname, m.ModTime)
		}
	}
	want := []string{
		`0 0644 Dockerfile "" "FROM scratch\n"`,
		`2 0777 absolute "/etc/passwd" ""`,
		`0 0644 back\slash "" "b"`,
		`2 0777 dangling "nowhere" ""`,
		`5 1777 empty/ "" ""`,
		`5 2750 lib/ "" ""`,
		`0 0644 lib/a "" "a"`,
		`5 0755 lib/sub/ "" ""`,
		`0 4600 lib-b "" "b"`,
		`0 0644 mit space "" "s"`,
		`0 0644 ` + strings.Repeat("n", 255) + ` "" "n"`,
		`0 0644 raw` + "\xff" + ` "" "r"`,
		`0 0755 run.sh "" "#!/bin/sh\n"`,
		`2 0777 self "/self" ""`,
		`2 0777 to-dir "lib" ""`,
		`0 0755 twin.sh "" "#!/bin/sh\n"`,
		`2 0777 up "../outside" ""`,
		`0 0644 ümlaut "" "u"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if sum.Entries != len(want) || sum.Bytes != 40 {
		t.Errorf("summary = %+v, want %d entries and 40 bytes", sum, len(want))
	}
}

func TestStagePaths(t *testing.T) {
	root := contextDir(t, map[string]string{
		"a b/action.yml": "x", "a b/Dockerfile": "FROM a", "a b/image/my.Dockerfile": "FROM b", "a b/image/c": "c",
		"linked": "-> a b",
	})
	for _, tc := range []struct {
		name, path string
		want       []string
	}{
		{"space", "a b/Dockerfile", []string{"Dockerfile", "action.yml", "image/", "image/c", "image/my.Dockerfile"}},
		{"dot", "a b/./image/./my.Dockerfile", []string{"c", "my.Dockerfile"}},
		{"dot dot", "a b/image/../Dockerfile", []string{"Dockerfile", "action.yml", "image/", "image/c", "image/my.Dockerfile"}},
		{"linked directory", "linked/image/my.Dockerfile", []string{"c", "my.Dockerfile"}},
		{"context is a link", "linked/Dockerfile", []string{"Dockerfile", "action.yml", "image/", "image/c", "image/my.Dockerfile"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var buf bytes.Buffer
			// Not filepath.Join, which would clean the path.
			if _, err := buildcontext.Stage(&buf, root+"/"+tc.path, buildcontext.Limits{}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, names(unpack(t, buf.Bytes()))); diff != "" {
				t.Errorf("entries (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStageDockerfileLink(t *testing.T) {
	for _, tc := range []struct {
		name         string
		files        map[string]string
		want         []string // when it works
		path, reason string   // when it does not
	}{
		{name: "beside", files: map[string]string{"Dockerfile": "-> real", "real": "FROM a", ".dockerignore": "*"}, want: []string{".dockerignore", "Dockerfile", "real"}},
		{
			name: "chain into excluded directories", files: map[string]string{"Dockerfile": "-> ./x/one", "x/one": "-> ../y/z/two", "y/z/two": "FROM a", "y/z/three": "", ".dockerignore": "*"},
			want: []string{".dockerignore", "Dockerfile", "x/", "x/one", "y/", "y/z/", "y/z/two"},
		},
		{
			name: "dockerignore is a link", files: map[string]string{"Dockerfile": "FROM a", ".dockerignore": "-> conf/ignore", "conf/ignore": "conf\nb", "b": ""},
			want: []string{".dockerignore", "Dockerfile", "conf/", "conf/ignore"},
		},
		{name: "missing", files: map[string]string{"a": ""}, path: "Dockerfile", reason: "there is no such file in "},
		{name: "dangling", files: map[string]string{"Dockerfile": "-> nowhere"}, path: "Dockerfile", reason: "leads to nowhere, which does not exist"},
		{name: "absolute", files: map[string]string{"Dockerfile": "-> /etc/passwd"}, path: "Dockerfile", reason: "absolute path /etc/passwd"},
		{name: "outside", files: map[string]string{"Dockerfile": "-> ../Dockerfile"}, path: "Dockerfile", reason: "outside of the build context"},
		{name: "outside from below", files: map[string]string{"Dockerfile": "-> a/b", "a/b": "-> ../../c"}, path: "a/b", reason: "outside of the build context"},
		{name: "through a linked directory", files: map[string]string{"Dockerfile": "-> a/b", "a": "-> c", "c/b": "FROM a"}, path: "a", reason: "must lead to a file, not to a directory"},
		{name: "dot dot in the middle", files: map[string]string{"Dockerfile": "-> a/../b", "b": "FROM a", "a/": ""}, path: "Dockerfile", reason: "use a link with .. at its start only"},
		{name: "circle", files: map[string]string{"Dockerfile": "-> b", "b": "-> Dockerfile"}, path: "Dockerfile", reason: "more than 8 symbolic links"},
		{name: "to a directory", files: map[string]string{"Dockerfile": "-> a", "a/": ""}, path: "a", reason: "must be a regular file"},
		{name: "to the context", files: map[string]string{"Dockerfile": "-> ."}, path: "Dockerfile", reason: "leads to the directory"},
		{name: "is a directory", files: map[string]string{"Dockerfile/": ""}, path: "Dockerfile", reason: "must be a regular file"},
		{name: "dockerignore is a directory", files: map[string]string{"Dockerfile": "FROM a", ".dockerignore/": ""}, path: ".dockerignore", reason: "must be a regular file"},
		{name: "dockerignore dangles", files: map[string]string{"Dockerfile": "FROM a", ".dockerignore": "-> nowhere"}, path: ".dockerignore", reason: "which does not exist"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			root := contextDir(t, tc.files)
			if tc.reason == "" {
				members, _ := stage(t, root)
				if diff := cmp.Diff(tc.want, names(members)); diff != "" {
					t.Errorf("entries (-want +got):\n%s", diff)
				}
				return
			}
			_, err := buildcontext.Stage(io.Discard, filepath.Join(root, "Dockerfile"), buildcontext.Limits{})
			wantInputError(t, err, tc.path, tc.reason)
		})
	}
}

// Kaniko loses files over a link that nobody can follow.
func TestStageBlindAlleys(t *testing.T) {
	for _, tc := range []struct {
		name, target, reason string
	}{
		{"itself", "link", "leads back to itself"},
		{"a circle", "b", "leads back to itself"},
		{"through a file", "Dockerfile/x", "leads through a file"},
		{"the directory that holds it", "../sub", ""},
		{"nothing", "nowhere/at/all", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			root := contextDir(t, map[string]string{"Dockerfile": "FROM a", "sub/Dockerfile": "", "sub/b": "-> ./c", "sub/c": "-> b", "sub/link": "-> " + tc.target})
			put(t, root, ".dockerignore", "sub/b\nsub/c\n")
			_, err := buildcontext.Stage(io.Discard, filepath.Join(root, "Dockerfile"), buildcontext.Limits{})
			if tc.reason != "" {
				wantInputError(t, err, "sub/link", tc.reason)
			} else if err != nil {
				t.Error(err)
			}
			put(t, root, "Dockerfile.dockerignore", "sub/*\n")
			if members, _ := stage(t, root); len(members) != 4 {
				t.Errorf("with links excluded, entries = %v", names(members))
			}
		})
	}
}

func TestStageSpecialFiles(t *testing.T) {
	root := contextDir(t, map[string]string{"Dockerfile": "FROM a"})
	listener, err := net.Listen("unix", filepath.Join(root, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	members, _ := stage(t, root)
	if diff := cmp.Diff([]string{"Dockerfile"}, names(members)); diff != "" {
		t.Errorf("with a socket, entries (-want +got):\n%s", diff)
	}

	put(t, root, "sub/x", "x")
	if err := syscall.Mkfifo(filepath.Join(root, "sub/pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = buildcontext.Stage(io.Discard, filepath.Join(root, "Dockerfile"), buildcontext.Limits{})
	wantInputError(t, err, "sub/pipe", "cannot hold a named pipe; remove it or exclude it in .dockerignore")

	put(t, root, ".dockerignore", "sub/pipe\nnull")
	if err := syscall.Mknod(filepath.Join(root, "null"), syscall.S_IFCHR|0o666, 1<<8|3); err != nil {
		t.Skip("needs the right to make a device: ", err)
	}
	members, _ = stage(t, root)
	if diff := cmp.Diff([]string{".dockerignore", "Dockerfile", "sub/", "sub/x"}, names(members)); diff != "" {
		t.Errorf("with special files excluded, entries (-want +got):\n%s", diff)
	}
	put(t, root, ".dockerignore", "sub")
	_, err = buildcontext.Stage(io.Discard, filepath.Join(root, "Dockerfile"), buildcontext.Limits{})
	wantInputError(t, err, "null", "cannot hold a special file (Dc---------)")
}

func TestStageUnreadable(t *testing.T) {
	for _, tc := range []struct{ name, path, ignore string }{
		{"file", "sub/secret", ""},
		{"directory", "sub", ""},
		{"excluded file", "sub/secret", "sub/secret"},
		{"excluded directory", "sub", "sub"},
		{"excluded directory with an exception", "sub", "sub\n!sub/deep/*"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			root := contextDir(t, map[string]string{"Dockerfile": "FROM a", "sub/secret": "s", ".dockerignore": tc.ignore})
			closed := filepath.Join(root, tc.path)
			if err := os.Chmod(closed, 0); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.Chmod(closed, 0o755) }) // so that it can be removed without root
			var err error
			unprivileged(t, root, func() {
				_, err = buildcontext.Stage(io.Discard, filepath.Join(root, "Dockerfile"), buildcontext.Limits{})
			})
			if tc.ignore == "" {
				wantInputError(t, err, tc.path, "the runner's user may not read this; make it readable or exclude it")
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestStageLimits(t *testing.T) {
	root := contextDir(t, map[string]string{"Dockerfile": "FROM scratch", "a/x": "0123456789", "b/y": "01234567890123456789", "b/z": "01"})
	exact := buildcontext.Limits{Bytes: 44, Entries: 6, DockerfileBytes: 12}
	if _, err := buildcontext.Stage(io.Discard, filepath.Join(root, "Dockerfile"), exact); err != nil {
		t.Errorf("at its limits: %v", err)
	}
	for _, tc := range []struct {
		name         string
		limits       buildcontext.Limits
		path, reason string
	}{
		{"bytes", buildcontext.Limits{Bytes: 43}, "b/z", "the build context is larger than 43 bytes (43 bytes), and up to here most of it is b with 22 bytes; exclude what the build does not need in .dockerignore, or have KILN_CONTEXT_MAX_BYTES raised"},
		{"entries", buildcontext.Limits{Entries: 5}, "b/z", "more than 5 entries; exclude what the build does not need in .dockerignore, or have KILN_CONTEXT_MAX_ENTRIES raised"},
		{"Dockerfile", buildcontext.Limits{DockerfileBytes: 11}, "Dockerfile", "the Dockerfile is larger than 11 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := buildcontext.Stage(io.Discard, filepath.Join(root, "Dockerfile"), tc.limits)
			wantInputError(t, err, tc.path, tc.reason)
		})
	}
}

// onWrite calls do before the first write.
type onWrite struct {
	io.Writer
	do func() error
}

func (w *onWrite) Write(p []byte) (int, error) {
	if w.do != nil {
		if err := w.do(); err != nil {
			return 0, err
		}
		w.do = nil
	}
	return w.Writer.Write(p)
}

func TestStageOfChangingTree(t *testing.T) {
	for _, tc := range []struct {
		name         string
		do           func(root string) error
		path, reason string
	}{
		{"file shrinks", func(root string) error { return os.Truncate(root+"/A", 300<<10) }, "A", "the file changed while"},
		{"file grows", func(root string) error { return os.Truncate(root+"/A", 2<<20) }, "A", "the file changed while"},
		{"Dockerfile vanishes", func(root string) error { return os.Remove(root + "/Dockerfile") }, "Dockerfile", "the Dockerfile vanished"},
		{"file vanishes", func(root string) error { return os.Remove(root + "/z/file") }, "", ""},
		{"directory vanishes", func(root string) error { return os.RemoveAll(root + "/z") }, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			root := contextDir(t, map[string]string{"A": strings.Repeat("x", 1<<20), "Dockerfile": "FROM a", "z/file": "z"})
			w := &onWrite{io.Discard, func() error { return tc.do(root) }}
			_, err := buildcontext.Stage(w, filepath.Join(root, "Dockerfile"), buildcontext.Limits{})
			if tc.reason != "" {
				wantInputError(t, err, tc.path, tc.reason)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestStageWriteError(t *testing.T) {
	root := contextDir(t, map[string]string{"A": strings.Repeat("x", 1<<20), "Dockerfile": "FROM a"})
	_, err := buildcontext.Stage(&onWrite{io.Discard, func() error { return syscall.ENOSPC }}, filepath.Join(root, "Dockerfile"), buildcontext.Limits{})
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got error %v, want %v", err, syscall.ENOSPC)
	}
	if isInputError(err) {
		t.Errorf("%v blames the context", err)
	}
}

func TestStageLongNames(t *testing.T) {
	deep := strings.Repeat(strings.Repeat("d", 200)+"/", 15)
	root := contextDir(t, map[string]string{"Dockerfile": "FROM a", deep + "file": "x", "long": "-> " + strings.Repeat("t", 4000)})
	members, sum := stage(t, root)
	if got, want := len(members), 18; got != want {
		t.Fatalf("got %d entries, want %d", got, want)
	}
	if got, want := members[16].Name, deep+"file"; got != want {
		t.Errorf("name = %q, want %q", got, want)
	}
	canonical, err := buildcontext.Canonical(io.Discard, bytes.NewReader(pack(t, members...)), buildcontext.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sum, canonical); diff != "" {
		t.Errorf("summaries of Stage and Canonical (-Stage +Canonical):\n%s", diff)
	}
}

func TestInputErrorIsOneLine(t *testing.T) {
	for _, tc := range []struct{ path, want string }{
		{"", "why"},
		{"a b/ü", "a b/ü: why"},
		{"a\n::error::b", `"a\n::error::b": why`},
		{"\x1b[31m", `"\x1b[31m": why`},
		{"a\xff", `"a\xff": why`},
	} {
		if got := (&buildcontext.InputError{Path: tc.path, Reason: "why"}).Error(); got != tc.want {
			t.Errorf("Error = %s, want %s", got, tc.want)
		}
	}
}

func TestFormatBytes(t *testing.T) {
	for n, want := range map[int64]string{0: "0 bytes", 1023: "1023 bytes", 1024: "1 KiB", 1536: "1.5 KiB", 512 << 20: "512 MiB", 1<<63 - 1: "8 EiB"} {
		if got := buildcontext.FormatBytes(n); got != want {
			t.Errorf("FormatBytes(%d) = %s, want %s", n, got, want)
		}
	}
}
