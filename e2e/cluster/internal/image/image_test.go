package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func TestFilesWriteTar(t *testing.T) {
	source := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(source, []byte("#!"), 0o600); err != nil {
		t.Fatal(err)
	}
	var files Files
	files.Copy("usr/bin/program", source, 0o755)
	files.Link("/bin", "usr/bin")
	files.Content("etc/passwd", []byte("root"), 0o644)
	files.Dir("tmp", 0o1777)
	var out bytes.Buffer
	if err := files.WriteTar(&out); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"bin -> usr/bin 777", "etc/ 755", "etc/passwd root 644", "tmp/ 1777",
		"usr/ 755", "usr/bin/ 755", "usr/bin/program #! 755",
	}
	if diff := cmp.Diff(want, list(t, &out)); diff != "" {
		t.Errorf("WriteTar (-want +got):\n%s", diff)
	}
}

func TestImagesAreReproducible(t *testing.T) {
	digest := func() string {
		var files Files
		files.Content("etc/passwd", []byte("root"), 0o644)
		layer, err := files.Layer(filepath.Join(t.TempDir(), "layer.tar"), Fast())
		if err != nil {
			t.Fatal(err)
		}
		img, err := New(v1.Config{Cmd: []string{"sh"}}, "amd64", layer)
		if err != nil {
			t.Fatal(err)
		}
		d, err := img.Digest()
		if err != nil {
			t.Fatal(err)
		}
		return d.String()
	}
	if a, b := digest(), digest(); a != b {
		t.Errorf("the same files gave %s and %s", a, b)
	}
}

func TestFilterTar(t *testing.T) {
	var files Files
	files.Content("usr/share/doc/pkg/changelog", nil, 0o644)
	files.Content("usr/share/doc/pkg/copyright", []byte("c"), 0o644)
	files.Content("usr/bin/gcc", []byte("g"), 0o755)
	var in, out bytes.Buffer
	if err := files.WriteTar(&in); err != nil {
		t.Fatal(err)
	}
	if err := FilterTar(&out, &in, Below([]string{"usr/share/doc"}, "copyright")); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"usr/ 755", "usr/bin/ 755", "usr/bin/gcc g 755", "usr/share/ 755", "usr/share/doc/ 755",
		"usr/share/doc/pkg/copyright c 644",
	}
	if diff := cmp.Diff(want, list(t, &out)); diff != "" {
		t.Errorf("FilterTar (-want +got):\n%s", diff)
	}
}

func TestCompilerExcessKeepsTheCompiler(t *testing.T) {
	tests := map[string]bool{
		"usr/lib/gcc/x86_64-linux-gnu/12/cc1":         false,
		"usr/lib/gcc/x86_64-linux-gnu/12/collect2":    false,
		"usr/lib/gcc/x86_64-linux-gnu/12/libgcc.a":    false,
		"usr/bin/x86_64-linux-gnu-ld.bfd":             false,
		"usr/include/linux/limits.h":                  false,
		"usr/lib/gcc/x86_64-linux-gnu/12/lto1":        true,
		"usr/lib/x86_64-linux-gnu/libasan.so.8.0.0":   true,
		"usr/share/doc/gcc/copyright":                 true,
		"usr/lib/x86_64-linux-gnu/gconv/libCNS.so":    true,
		"usr/bin/x86_64-linux-gnu-ld.gold":            true,
		"usr/lib/x86_64-linux-gnu/libisl.so.23.2.0":   false,
		"lib/x86_64-linux-gnu/ld-linux-x86-64.so.2":   false,
		"usr/lib/x86_64-linux-gnu/gprofng/libgp-x.so": true,
	}
	for name, want := range tests {
		if got := CompilerExcess(name, false); got != want {
			t.Errorf("CompilerExcess(%s) = %t, want %t", name, got, want)
		}
	}
}

// list reads a tar as lines of name, content or target, and mode.
func list(t *testing.T, in io.Reader) []string {
	t.Helper()
	var lines []string
	for reader := tar.NewReader(in); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return lines
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		line := header.Name
		if len(content) > 0 {
			line += " " + string(content)
		}
		if header.Linkname != "" {
			line += " -> " + header.Linkname
		}
		lines = append(lines, line+" "+octal(header.Mode))
	}
}

func octal(mode int64) string {
	digits := ""
	for ; mode > 0; mode /= 8 {
		digits = string(rune('0'+mode%8)) + digits
	}
	return digits
}
