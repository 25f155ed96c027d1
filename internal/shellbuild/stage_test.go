package shellbuild

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kiln/internal/buildcontext"
)

// archive is a tar of these entries; a regular file's content is its name.
func archive(t *testing.T, entries ...tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, header := range entries {
		if header.Typeflag == tar.TypeReg {
			header.Size = int64(len(header.Name))
		}
		if err := w.WriteHeader(&header); err != nil {
			t.Fatal(err)
		}
		if header.Typeflag == tar.TypeReg {
			if _, err := io.WriteString(w, header.Name); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zipped(t *testing.T, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestUnpack(t *testing.T) {
	plain := archive(t,
		tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755},
		tar.Header{Name: "./bin/run", Typeflag: tar.TypeReg, Mode: 0o751},
		tar.Header{Name: "alias", Typeflag: tar.TypeSymlink, Linkname: "bin/run"},
		tar.Header{Name: "hard", Typeflag: tar.TypeLink, Linkname: "./bin/run"},
		tar.Header{Name: "pipe", Typeflag: tar.TypeFifo},
	)
	for name, data := range map[string][]byte{"plain": plain, "with gzip": zipped(t, plain)} {
		t.Run(name, func(t *testing.T) {
			tree := filepath.Join(t.TempDir(), "tree")
			if err := unpack(bytes.NewReader(data), tree, buildcontext.DefaultLimits()); err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{"bin/run", "alias", "hard"} {
				if text, err := os.ReadFile(filepath.Join(tree, path)); err != nil || string(text) != "./bin/run" {
					t.Errorf("%s: %q, %v", path, text, err)
				}
			}
			if info, err := os.Stat(filepath.Join(tree, "bin/run")); err != nil || info.Mode().Perm() != 0o751 {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
			if entries, err := os.ReadDir(tree); err != nil || len(entries) != 3 {
				t.Errorf("%d entries, %v", len(entries), err)
			}
		})
	}
}

// TestUnpackStaysInside has archives that would write beside the tree, and such
// that are none.
func TestUnpackStaysInside(t *testing.T) {
	limits := buildcontext.Limits{Bytes: 100, Entries: 2}
	file := func(name string) tar.Header { return tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644} }
	for name, tt := range map[string]struct {
		data []byte
		want string
	}{
		"a name":         {archive(t, file("../evil")), "escapes"},
		"a link":         {archive(t, tar.Header{Name: "out", Typeflag: tar.TypeSymlink, Linkname: ".."}, file("out/evil")), "escapes"},
		"a hard link":    {archive(t, tar.Header{Name: "out", Typeflag: tar.TypeLink, Linkname: "../secret"}), "escapes"},
		"a name twice":   {archive(t, file("a"), file("a")), "exists"},
		"too many files": {archive(t, file("a"), file("b"), file("c"), file("d")), "more than 2 files"},
		"too many bytes": {archive(t, file(strings.Repeat("a", 99)), file("bb")), "100 bytes"},
		"no tar":         {[]byte(strings.Repeat("x", 1024)), "standard input is no tar"},
		"nothing":        {nil, "standard input is no tar"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("s"), 0o600); err != nil {
				t.Fatal(err)
			}
			err := unpack(bytes.NewReader(tt.data), filepath.Join(dir, "tree"), limits)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
				t.Errorf("%d entries beside the tree, %v", len(entries)-1, err)
			}
		})
	}
}

// TestNamed: the image and the places of errors have the names that a job of the
// repository gives them.
func TestNamed(t *testing.T) {
	repository := t.TempDir()
	if err := os.MkdirAll(filepath.Join(repository, "actions", "lint"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(repository, ".git"), 0o755); err != nil {
		t.Fatal(err)
	}
	inside := filepath.Join(repository, "actions", "lint", "Dockerfile")
	alone := filepath.Join(t.TempDir(), "Dockerfile")
	for name, tt := range map[string]struct {
		o         Options
		path      string
		file      string
		workspace string
	}{
		"a checkout":          {Options{}, inside, inside, repository},
		"no checkout":         {Options{}, alone, alone, filepath.Dir(alone)},
		"one that was named":  {Options{Workspace: "/w/app"}, alone, alone, "/w/app"},
		"standard input":      {Options{Dir: Stdin, Dockerfile: "D"}, "/tmp/tree/D", "D", ""},
		"of a named checkout": {Options{Dir: Stdin, Dockerfile: "D", Workspace: "/w/app"}, "/tmp/tree/D", "/w/app/D", "/w/app"},
	} {
		t.Run(name, func(t *testing.T) {
			file, workspace, err := tt.o.named(tt.path)
			if err != nil || file != tt.file || workspace != tt.workspace {
				t.Errorf("named = %s in %s, %v; want %s in %s", file, workspace, err, tt.file, tt.workspace)
			}
		})
	}
}

// TestAReaderThatHasGone cancels the build once.
func TestAReaderThatHasGone(t *testing.T) {
	reader, writer := io.Pipe()
	_ = reader.Close()
	var causes []error
	w := &output{to: writer, cancel: func(cause error) { causes = append(causes, cause) }}
	for range 2 {
		if _, err := io.WriteString(w, "line\n"); err == nil {
			t.Error("the line was taken")
		}
	}
	if len(causes) != 1 || !errors.Is(causes[0], io.ErrClosedPipe) {
		t.Errorf("cancelled with %v", causes)
	}
}
