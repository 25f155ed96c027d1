package preflight_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"kiln/internal/buildcontext"
	"kiln/internal/preflight"
)

// hasKinds reports whether a context has files of a kind, "name = kind".
func hasKinds(context []string) bool {
	return slices.ContainsFunc(context, func(entry string) bool { return strings.Contains(entry, " = ") })
}

// looked parses a Dockerfile and looks into its context.
func looked(t *testing.T, dockerfile string, entries []string) (*preflight.File, *preflight.Context) {
	t.Helper()
	file, err := preflight.Parse("Dockerfile", []byte(dockerfile))
	if err != nil {
		t.Fatal(err)
	}
	if !hasKinds(entries) {
		return file, preflight.Listed(contextOf(t, entries))
	}
	canonical, tree := canonicalOf(t, entries)
	context, err := file.Context(t.Context(), tree, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(canonical)), nil })
	if err != nil {
		t.Fatal(err)
	}
	return file, context
}

// verdictLooked is verdict with a build context whose files were looked into.
func verdictLooked(t *testing.T, dockerfile, flavor string, entries []string) (preflight.Verdict, string) {
	t.Helper()
	file, context := looked(t, dockerfile, entries)
	return verdictOf(t, file, dockerfile, flavor, context)
}

// canonicalOf makes the canonical context of files "name = kind", which are
// sorted.
func canonicalOf(t *testing.T, entries []string) ([]byte, *buildcontext.Tree) {
	t.Helper()
	var staged, out bytes.Buffer
	w := tar.NewWriter(&staged)
	for _, entry := range entries {
		name, kind, _ := strings.Cut(entry, " = ")
		content := fileOf(t, kind)
		write(t, w, tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(content)), Format: tar.FormatPAX}, content)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	_, tree, err := buildcontext.CanonicalTree(&out, &staged, buildcontext.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), tree
}

func write(t *testing.T, w *tar.Writer, h tar.Header, content string) {
	t.Helper()
	if err := w.WriteHeader(&h); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, content); err != nil {
		t.Fatal(err)
	}
}

// fileOf makes the content of a file of a kind: a format, or an archive with an
// entry.
func fileOf(t *testing.T, kind string) string {
	t.Helper()
	file := tar.Header{Name: "f", Typeflag: tar.TypeReg, Mode: 0o644}
	archive := func(headers ...tar.Header) string {
		var out bytes.Buffer
		w := tar.NewWriter(&out)
		for _, h := range headers {
			write(t, w, h, "")
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	switch kind {
	case "text":
		return "text"
	case "gzip":
		return zipped(t, "insert;")
	case "xz":
		return squeezed(t, "xz", archive(file))
	case "zstd":
		return squeezed(t, "zstd", archive(file))
	case "plain xz":
		return squeezed(t, "xz", "insert;")
	case "damaged xz":
		return "\xfd7zXZ\x00\x00\x04" + strings.Repeat("x", 100)
	case "large zstd":
		return squeezed(t, "zstd", strings.Repeat(archive(file)[:512], 9_000)) // 4.4 MiB
	case "tar":
		return archive(tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755}, file)
	case "tgz":
		return zipped(t, archive(file))
	case "root":
		return archive(tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o700, Uid: 7}, file)
	case "fifo":
		return archive(file, tar.Header{Name: "p", Typeflag: tar.TypeFifo, Mode: 0o644})
	case "device":
		return zipped(t, archive(tar.Header{Name: "n", Typeflag: tar.TypeChar, Mode: 0o644, Devmajor: 1, Devminor: 3}))
	case "whiteout":
		return archive(file, tar.Header{Name: "d/.wh.f", Typeflag: tar.TypeReg})
	case "escape":
		return archive(file, tar.Header{Name: "../x", Typeflag: tar.TypeReg})
	case "hard":
		return archive(file, tar.Header{Name: "g", Linkname: "etc/hosts", Typeflag: tar.TypeLink})
	case "cut":
		return archive(file, file)[:700]
	case "hosts":
		return archive(tar.Header{Name: "etc/hosts", Typeflag: tar.TypeReg})
	case "bare hosts":
		return archive(tar.Header{Name: "./hosts", Typeflag: tar.TypeReg})
	case "global":
		return archive(tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "x"}, Format: tar.FormatPAX}, file)
	case "excess":
		member := zipped(t, strings.Repeat(archive(file)[:512], 1000)) // members add up to one stream
		return strings.Repeat(member, 101)
	}
	t.Fatalf("no kind %q", kind)
	return ""
}

// squeezed compresses by xz or zstd.
func squeezed(t *testing.T, how, content string) string {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser
	var err error
	if how == "xz" {
		w, err = xz.WriterConfig{DictCap: 64 << 10}.NewWriter(&out)
	} else {
		w, err = zstd.NewWriter(&out)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func zipped(t *testing.T, content string) string {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := io.WriteString(w, content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestAddedArchives(t *testing.T) {
	const odd, own = "leaves out or changes", "belongs to the running container"
	for _, tt := range []struct{ context, add, want string }{
		{"a = tar", "a /x/", ""},
		{"a = tgz", "a /x/", ""},
		{"a = text", "a /x/", ""},
		{"a = global", "a /x/", ""},
		{"a = root", "a /x/", `ADD ["../heredoc/2/archive-0.tar","/x/"]`},
		{"a = root,b = text", "a b /x/", "owner and mode of that entry"},
		{"a = root,b = xz", "* /x/", `ADD ["../heredoc/2/archive-0.tar","../heredoc/2/archive-1.tar","/x/"]`},
		{"a = fifo", "* /x/", odd},
		{"a = device", "./a /x/", odd},
		{"a = whiteout", "a /x/", odd},
		{"a = escape", "a /x/", odd},
		{"a = hard", "a /x/", odd},
		{"a = cut", "a /x/", odd},
		{"a = hosts", "a /x/", ""},
		{"a = hosts", "a /", own},
		{"a = bare hosts", "a /etc", own},
		{"a = bare hosts", "a /", ""},
		{"a = xz", "a /", `ADD ["../heredoc/2/archive-0.tar","/"]`},
		{"a = zstd", "a /", `ADD ["../heredoc/2/archive-0.tar","/"]`},
		{"a = xz,b = tgz", "a b /x/", "xz and zstd"},
		{"a = plain xz", "a /x", `COPY ["a","/x"]`},
		{"a = damaged xz", "a /x", `COPY ["a","/x"]`},
		{"a = large zstd", "a /x/", "too large to look at"},
		{"a = gzip,b = tgz", "a b /x/", "tries to unpack it"},
		{"a = gzip,b = text", "a b /x/", "COPY [\"a\",\"b\",\"/x/\"]"},
		{"a = gzip", "a https://example.com/x /x/", "tries to unpack it"},
		{"a = gzip", "--chmod=600 a /opt/", "COPY --chmod=600 [\"a\",\"/opt/\"]"},
		{"a = gzip,b = text", "b /x/", ""},
	} {
		_, text := verdictLooked(t, "FROM busybox\nADD "+tt.add+"\n", preflight.Chainguard, strings.Split(tt.context, ","))
		if (tt.want == "") != (text == "") || !strings.Contains(text, tt.want) {
			t.Errorf("ADD %s of %s: Report says %q, want %q", tt.add, tt.context, text, tt.want)
		}
		_, text = verdictLooked(t, "FROM busybox\nCOPY "+tt.add+"\n", preflight.Chainguard, strings.Split(tt.context, ","))
		if text != "" && !strings.Contains(tt.add, "https:") {
			t.Errorf("COPY %s of %s: Report says %q", tt.add, tt.context, text)
		}
	}
}

func TestArchive(t *testing.T) {
	_, context := looked(t, "FROM busybox\nADD a.tar b /x/\n", []string{"a.tar = tar", "b = text", "c = text"})
	type looked struct{ known, docker bool }
	for path, want := range map[string]looked{"a.tar": {true, true}, "b": {known: true}, "c": {}} {
		facts, known := context.Archive(path)
		if got := (looked{known, facts.Docker}); got != want {
			t.Errorf("of %s is known %+v, want %+v", path, got, want)
		}
	}
}
