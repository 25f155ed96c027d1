package treeindex_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kiln/internal/treeindex"
)

// member is an entry of a layer; its content is for files.
type member struct {
	tar.Header
	content string
}

func dir(name string, mode int64) member {
	return member{Header: tar.Header{Name: name + "/", Typeflag: tar.TypeDir, Mode: mode}}
}

func file(name string) member { return text(name, "content") }

func text(name, content string) member {
	return member{Header: tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644}, content: content}
}

func link(name, target string) member {
	return member{Header: tar.Header{Name: name, Typeflag: tar.TypeSymlink, Mode: 0o777, Linkname: target}}
}

func hard(name, target string) member {
	return member{Header: tar.Header{Name: name, Typeflag: tar.TypeLink, Mode: 0o600, Linkname: target}}
}

func owned(m member, uid, gid int) member {
	m.Uid, m.Gid = uid, gid
	return m
}

func pack(t testing.TB, members ...member) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, m := range members {
		m.Size, m.Format = int64(len(m.content)), tar.FormatPAX
		if err := w.WriteHeader(&m.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, m.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func read(t testing.TB, members ...member) *treeindex.Index {
	t.Helper()
	index, err := treeindex.Read("sha256:layer", bytes.NewReader(pack(t, members...)))
	if err != nil {
		t.Fatal(err)
	}
	return index
}

// list writes a tree as lines.
func list(tree *treeindex.Tree, paths ...string) string {
	var lines []string
	for _, path := range paths {
		e, found := tree.Find(path)
		if !found {
			lines = append(lines, path+" -")
			continue
		}
		line := fmt.Sprintf("%s %c %o %d:%d", path, e.Kind, e.Mode, e.UID, e.GID)
		if e.Target != "" {
			line += " " + e.Target
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func TestOverlay(t *testing.T) {
	for _, test := range []struct {
		name   string
		layers [][]member
		paths  string
		want   string
	}{
		{"one layer", [][]member{{dir("a", 0o700), owned(file("a/f"), 3, 4), link("l", "a"), dir("b-c", 0o1777)}}, "a a/f l b-c x", "a d 700 0:0\na/f f 644 3:4\nl l 777 0:0 a\nb-c d 1777 0:0\nx -"},
		{"names of all kinds", [][]member{{dir("./a", 0o700), file("/a/f"), file("a//g")}}, "a/f a/g", "a/f f 644 0:0\na/g f 644 0:0"},
		{"directories that are not there", [][]member{{file("a/b/f")}}, "a a/b", "a d 755 0:0\na/b d 755 0:0"},
		{"a directory keeps what it has", [][]member{{dir("a", 0o755), file("a/f")}, {dir("a", 0o700), file("a/g")}}, "a a/f a/g", "a d 700 0:0\na/f f 644 0:0\na/g f 644 0:0"},
		{"a directory without an entry stays as it is", [][]member{{dir("a", 0o700)}, {file("a/g")}}, "a", "a d 700 0:0"},
		{"whiteouts", [][]member{{dir("a", 0o755), file("a/f"), file("a/g"), file("ab")}, {file("a/.wh.f"), file("x/.wh.y")}}, "a/f a/g ab x", "a/f -\na/g f 644 0:0\nab f 644 0:0\nx -"},
		{"a whiteout of a directory", [][]member{{file("a/b/f"), file("a-b")}, {file(".wh.a")}}, "a a/b a/b/f a-b", "a -\na/b -\na/b/f -\na-b f 644 0:0"},
		{"an opaque directory", [][]member{{file("a/b/f"), file("a/g"), file("b")}, {dir("a", 0o711), file("a/.wh..wh..opq"), file("a/n")}}, "a a/b a/g a/n b", "a d 711 0:0\na/b -\na/g -\na/n f 644 0:0\nb f 644 0:0"},
		{"an opaque directory without an entry", [][]member{{dir("a", 0o711), file("a/g")}, {file("a/n"), file("a/.wh..wh..opq")}}, "a a/g a/n", "a d 711 0:0\na/g -\na/n f 644 0:0"},
		{"a file for a directory", [][]member{{file("a/b/f"), file("b")}, {file("a")}}, "a a/b b", "a f 644 0:0\na/b -\nb f 644 0:0"},
		{"a directory for a link", [][]member{{link("a", "b"), dir("b", 0o755)}, {dir("a", 0o700), file("a/f")}}, "a a/f b/f", "a d 700 0:0\na/f f 644 0:0\nb/f -"},
		{"hard links", [][]member{{owned(file("z"), 7, 7)}, {hard("a", "z"), hard("b", "/a")}}, "a b", "a f 644 7:7\nb f 644 7:7"},
		{"a hard link to a link", [][]member{{link("z", "x"), hard("za", "z")}}, "za", "za l 777 0:0 x"},
		{"a directory twice", [][]member{{dir("a", 0o755), file("a/f"), dir("a", 0o700)}}, "a a/f", "a d 700 0:0\na/f f 644 0:0"},
		{"the root", [][]member{{dir(".", 0o711), file("f")}}, " f", " d 711 0:0\nf f 644 0:0"},
		{"deleted and back", [][]member{{file("a/f")}, {file(".wh.a")}, {file("a/g")}}, "a/f a/g", "a/f -\na/g f 644 0:0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var layers []*treeindex.Index
			for _, members := range test.layers {
				layers = append(layers, read(t, members...))
			}
			tree, err := treeindex.Overlay(t.Context(), layers...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, list(tree, strings.Split(test.paths, " ")...)); diff != "" {
				t.Errorf("the tree (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOverlayIsOdd(t *testing.T) {
	for name, layers := range map[string][][]member{
		"an entry below a link":           {{link("a", "b"), dir("b", 0o755)}, {file("a/f")}},
		"a whiteout below a link":         {{link("a", "b"), file("b/f")}, {file("a/.wh.f")}},
		"an entry below a file":           {{file("a")}, {file("a/f")}},
		"a hard link to nothing":          {{hard("a", "b")}},
		"a hard link to itself":           {{file("b")}, {hard("a", "c"), hard("c", "a")}},
		"a hard link to a directory":      {{dir("b", 0o755), hard("c", "b")}},
		"a hard link to what is deleted":  {{file("b")}, {file(".wh.b"), hard("c", "b")}},
		"a file that is opaque":           {{file("a")}, {file("a/.wh..wh..opq")}},
		"an entry below a whiteout":       {{file("a/f")}, {file(".wh.a"), file("a/g")}},
		"a hard link to what comes later": {{hard("a", "b"), file("b")}},
	} {
		t.Run(name, func(t *testing.T) {
			var indexes []*treeindex.Index
			var err error
			for _, members := range layers {
				var index *treeindex.Index
				if index, err = treeindex.Read("l", bytes.NewReader(pack(t, members...))); err != nil {
					break
				}
				indexes = append(indexes, index)
			}
			if err == nil {
				_, err = treeindex.Overlay(t.Context(), indexes...)
			}
			if _, isOdd := errors.AsType[*treeindex.Odd](err); !isOdd {
				t.Errorf("got the error %v, want one of type *treeindex.Odd", err)
			}
		})
	}
}

func TestReadIsOdd(t *testing.T) {
	socket := member{Header: tar.Header{Name: "s", Typeflag: '7', Mode: 0o644}}
	for name, members := range map[string][]member{
		"above the root":              {file("../f")},
		"above the root on the way":   {file("a/../../f")},
		"a hard link above the root":  {file("f"), hard("g", "../f")},
		"a long part":                 {file(strings.Repeat("x", 256))},
		"a deep path":                 {file(strings.Repeat("x/", 300) + "f")},
		"a file and a link":           {file("a"), link("a", "b")},
		"a whiteout of what is there": {file("a"), file(".wh.a")},
		"a whiteout of nothing":       {file("a/.wh.")},
		"a whiteout of another kind":  {file(".wh..wh.plnk")},
		"another type":                {socket},
		"an owner that is none":       {owned(file("f"), -1, 0)},
		"a root that is a file":       {file(".")},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := treeindex.Read("l", bytes.NewReader(pack(t, members...))); !isOdd(err) {
				t.Errorf("got the error %v, want one of type *treeindex.Odd", err)
			}
		})
	}
	for name, data := range map[string][]byte{"no archive": bytes.Repeat([]byte("x"), 4096), "cut off": pack(t, file("a"))[:515]} {
		if _, err := treeindex.Read("l", bytes.NewReader(data)); !isOdd(err) {
			t.Errorf("%s: got the error %v, want one of type *treeindex.Odd", name, err)
		}
	}
}

func isOdd(err error) bool {
	_, is := errors.AsType[*treeindex.Odd](err)
	return is
}

func TestReadTooManyEntries(t *testing.T) {
	in, out := io.Pipe()
	go func() {
		w := tar.NewWriter(out)
		for i := 0; ; i++ {
			if w.WriteHeader(&tar.Header{Name: fmt.Sprintf("d/%d", i), Typeflag: tar.TypeReg}) != nil {
				return
			}
		}
	}()
	_, err := treeindex.Read("l", in)
	_ = in.Close() // ends the writer
	if !isOdd(err) {
		t.Errorf("got the error %v, want one of type *treeindex.Odd", err)
	}
}

func TestReadKeepsItsReadersError(t *testing.T) {
	broken := errors.New("broken")
	data := pack(t, file("a"))
	_, err := treeindex.Read("l", io.MultiReader(bytes.NewReader(data[:700]), failing{broken}))
	if !errors.Is(err, broken) || isOdd(err) {
		t.Errorf("got the error %v, want that of the reader", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestAccount(t *testing.T) {
	passwd := text("etc/passwd", "root:x:0:0::/:/bin/sh\n")
	for _, test := range []struct {
		name   string
		layers [][]member
		want   string
		known  bool
	}{
		{"as a file", [][]member{{passwd}}, "root:x:0:0::/:/bin/sh\n", true},
		{"of the upper layer", [][]member{{passwd}, {text("etc/passwd", "new")}}, "new", true},
		{"below an upper layer", [][]member{{passwd}, {file("etc/other")}}, "root:x:0:0::/:/bin/sh\n", true},
		{"deleted", [][]member{{passwd}, {file("etc/.wh.passwd")}}, "", false},
		{"deleted with its directory", [][]member{{passwd}, {file(".wh.etc")}, {dir("etc", 0o755)}}, "", false},
		{"too long", [][]member{{text("etc/passwd", strings.Repeat("x", treeindex.MaxAccounts+1))}}, "", false},
		{"a hard link", [][]member{{passwd}, {file("x"), hard("etc/passwd", "x")}}, "", false},
		{"a link", [][]member{{link("etc/passwd", "x")}}, "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var layers []*treeindex.Index
			for _, members := range test.layers {
				layers = append(layers, read(t, members...))
			}
			tree, err := treeindex.Overlay(t.Context(), layers...)
			if err != nil {
				t.Fatal(err)
			}
			if got, known := tree.Account("etc/passwd"); string(got) != test.want || known != test.known {
				t.Errorf("Account = %q, %t, want %q, %t", got, known, test.want, test.known)
			}
		})
	}
}

func TestFollow(t *testing.T) {
	tree, err := treeindex.Overlay(t.Context(), read(t,
		dir("usr", 0o755), dir("usr/bin", 0o755), link("bin", "usr/bin"), link("abs", "/usr/bin"), file("usr/bin/x"),
		link("usr/bin/y", "../../etc/y"), link("out", "../../../usr"), link("new", "/not/there"), link("loop", "loop"),
		link("two", "bin"), link("usr/bin/vi", "/etc/vi"), dir("etc", 0o755), link("etc/vi", "/usr/bin/x"), file("f"), link("root", "/")))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"/": "", "/a/b": "a/b", "/bin": "usr/bin", "bin/x": "usr/bin/x", "/abs/n/m": "usr/bin/n/m", "/usr/bin/y": "etc/y",
		"/out/bin": "usr/bin", "/new": "not/there", "/new/x": "not/there/x", "/usr/bin/vi": "usr/bin/x", "/two": "usr/bin", "/bin/y": "etc/y",
		"/a/../bin": "usr/bin", "/root/usr": "usr",
	} {
		if got, err := treeindex.Follow(tree.Find, name); err != nil || got != want {
			t.Errorf("Follow(%q) = %q, %v, want %q", name, got, err, want)
		}
	}
	for _, name := range []string{"/loop", "/loop/x", "/two/x", "/f/x", "/f/x/y"} {
		if got, err := treeindex.Follow(tree.Find, name); !isOdd(err) {
			t.Errorf("Follow(%q) = %q, %v, want an error of type *treeindex.Odd", name, got, err)
		}
	}
}
