package buildcontext_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"kiln/internal/buildcontext"
)

// canonical runs Canonical with default limits on what it should accept.
func canonical(t testing.TB, data []byte) ([]byte, buildcontext.Summary) {
	t.Helper()
	var buf bytes.Buffer
	sum, err := buildcontext.Canonical(&buf, bytes.NewReader(data), buildcontext.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes(), sum
}

// with changes a copy of m.
func with(m member, change func(*member)) member {
	change(&m)
	return m
}

// TestCanonicalDigest pins the digest: it is part of keys that outlive a
// version of kiln. The values were computed by a separate program from the
// description of the digest.
func TestCanonicalDigest(t *testing.T) {
	for _, tc := range []struct {
		name    string
		members []member
		want    buildcontext.Summary
	}{
		{"nothing", nil, buildcontext.Summary{Digest: "sha256:af5f0a05773d0297a22b55d6887bf83d8d91542955072c7c4aba05b1ae93af29"}},
		{"one of each", []member{
			with(file("Dockerfile", "FROM scratch\n"), func(m *member) { m.Mode = 0o4755 }), dir("lib", 0o750), file("lib/a", ""), link("lib/ü", "../x"),
		}, buildcontext.Summary{Entries: 4, Bytes: 13, Digest: "sha256:11e86256793a72459ab25f386e66ba9c13a55b2bd84b053a0151eac5d5a22013"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, sum := canonical(t, pack(t, tc.members...))
			if diff := cmp.Diff(tc.want, sum); diff != "" {
				t.Errorf("summary (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCanonicalForm(t *testing.T) {
	data := pack(t,
		with(dir("bin", 0o100755), func(m *member) { m.Name = "bin" }),
		with(file("bin/sh", "x"), func(m *member) {
			m.Uid, m.Gid, m.Uname, m.Gname = 1001, 118, "runner", "docker"
			m.ModTime, m.AccessTime, m.ChangeTime = time.Unix(1700000000, 999), time.Unix(5, 0), time.Unix(6, 0)
			m.PAXRecords = map[string]string{"SCHILY.xattr.security.capability": "root", "KILN.note": "x"}
		}),
		with(link("bin/z", "sh"), func(m *member) { m.Mode = 0o600; m.ModTime = time.Unix(-7, 0) }),
		with(file("c", "c"), func(m *member) { m.Mode = 0o7777; m.ModTime = time.Unix(1<<40, 0) }),
	)
	packed, _ := canonical(t, data)
	got := unpack(t, plain(t, packed))
	fixed := buildcontext.Time()
	want := []member{
		{Header: tar.Header{Typeflag: tar.TypeDir, Name: "bin/", Mode: 0o755, ModTime: fixed, Format: tar.FormatUSTAR}},
		{Header: tar.Header{Typeflag: tar.TypeReg, Name: "bin/sh", Mode: 0o644, Size: 1, ModTime: fixed, Format: tar.FormatUSTAR}, Content: "x"},
		{Header: tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/z", Linkname: "sh", Mode: 0o777, ModTime: fixed, Format: tar.FormatUSTAR}},
		{Header: tar.Header{Typeflag: tar.TypeReg, Name: "c", Mode: 0o7777, Size: 1, ModTime: fixed, Format: tar.FormatUSTAR}, Content: "c"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if header := packed[:10]; !bytes.Equal(header, []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 0xff}) {
		t.Errorf("gzip header = % x, want no time, no name and no system", header)
	}
}

func TestCanonicalRefuses(t *testing.T) {
	kindOf := func(flag byte) func(*member) { return func(m *member) { m.Typeflag = flag } }
	long := strings.Repeat("n", 256)
	for _, tc := range []struct {
		name         string
		members      []member
		path, reason string
	}{
		{"twice", []member{file("a", ""), file("a", "")}, "a", "holds this name twice"},
		{"twice, of two kinds", []member{link("a", "/"), dir("a", 0o755)}, "a", "holds this name twice"},
		{"not sorted", []member{file("b", ""), file("a", "")}, "a", "not sorted: this name comes after b"},
		{"sorted as strings only", []member{dir("a", 0o755), file("a-b", ""), file("a/b", "")}, "a/b", "not sorted: this name comes after a-b"},
		{"no directory", []member{file("a/b", "")}, "a/b", "lacks the directory of this name"},
		{"no directory in between", []member{dir("a", 0o755), file("a/b/c", "")}, "a/b/c", "lacks the directory of this name"},
		{"no directory after others", []member{dir("a", 0o755), file("a/b", ""), file("c/d", "")}, "c/d", "lacks the directory of this name"},
		{"below a link", []member{link("a", "/etc"), file("a/passwd", "")}, "a/passwd", "something else than a directory above this name"},
		{"below a file", []member{file("a", ""), file("a/b", "")}, "a/b", "something else than a directory above this name"},
		{"far below a link", []member{dir("a", 0o755), link("a/l", "/"), file("a/l/etc/x", "")}, "a/l/etc/x", "lacks the directory of this name"},
		{"absolute", []member{file("/etc/passwd", "")}, "/etc/passwd", "the name is an absolute path"},
		{"dot dot", []member{file("../a", "")}, "../a", "the name holds .."},
		{"only dot dot", []member{dir("..", 0o755)}, "../", "the name holds .."},
		{"dot dot inside", []member{dir("a", 0o755), file("a/../../b", "")}, "a/../../b", "the name holds .."},
		{"dot dot at the end", []member{dir("a/..", 0o755)}, "a/../", "the name holds .."},
		{"the context itself, not first", []member{file("-", ""), dir(".", 0o755)}, "./", "not in its shortest form"},
		{"leading dot", []member{file("./a", "")}, "./a", "not in its shortest form"},
		{"double slash", []member{dir("a", 0o755), file("a//b", "")}, "a//b", "not in its shortest form"},
		{"directory with two slashes", []member{dir("a/", 0o755)}, "a//", "not in its shortest form"},
		{"link with a slash", []member{link("a/", "b")}, "a/", "not in its shortest form"},
		{"no name", []member{file("", "")}, "", "an entry has an empty name"},
		{"directory without a name", []member{with(dir("", 0o755), func(m *member) { m.Name = "" })}, "", "an entry has an empty name"},
		{"long part", []member{file(long, "")}, long, "a part of the name is longer than 255 bytes"},
		{"long name", []member{file(strings.Repeat("d/", 2048)+"f", "")}, strings.Repeat("d/", 2048) + "f", "longer than 4095 bytes"},
		{"hard link", []member{file("a", ""), with(link("b", "a"), kindOf(tar.TypeLink))}, "b", `type '1'`},
		{"character device", []member{with(file("a", ""), kindOf(tar.TypeChar))}, "a", `type '3'`},
		{"block device", []member{with(file("a", ""), kindOf(tar.TypeBlock))}, "a", `type '4'`},
		{"named pipe", []member{with(file("a", ""), kindOf(tar.TypeFifo))}, "a", `type '6'`},
		{"contiguous file", []member{with(file("a", ""), kindOf(tar.TypeCont))}, "a", `type '7'`},
		{"unknown type", []member{with(file("a", ""), kindOf('?'))}, "a", `type '?'`},
		{"global header", []member{{Header: tar.Header{Typeflag: tar.TypeXGlobalHeader, Name: "g", PAXRecords: map[string]string{"comment": "x"}, Format: tar.FormatPAX}}}, "g", `type 'g'`},
		{"GNU format", []member{with(file(strings.Repeat("d/", 99)+"f", ""), func(m *member) { m.Format = tar.FormatGNU })}, strings.Repeat("d/", 99) + "f", "neither ustar nor pax"},
		{"link to nothing", []member{link("a", "")}, "a", "the target of a symbolic link is empty"},
		{"link to a long name", []member{link("a", strings.Repeat("t", 4096))}, "a", "longer than 4095 bytes"},
		{"file with a link target", []member{with(file("a", ""), func(m *member) { m.Linkname = "b" })}, "a", "has a link target"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := buildcontext.Canonical(io.Discard, bytes.NewReader(pack(t, tc.members...)), buildcontext.Limits{})
			wantInputError(t, err, tc.path, tc.reason)
		})
	}
}

// TestCanonicalRefusesForged changes archives in ways that archive/tar does
// not write.
func TestCanonicalRefusesForged(t *testing.T) {
	for _, tc := range []struct {
		name         string
		data         []byte
		path, reason string
	}{
		{"not a tar", bytes.Repeat([]byte("garbage "), 200), "", "not a well-formed archive"},
		{"gzip", gzipMagic(), "", "not a well-formed archive"},
		{"empty", nil, "", "its end mark is missing"},
		{"one zero block", make([]byte, 512), "", "its end mark is missing"},
		{"data behind the end", append(pack(t, file("a", "")), "x"...), "", "something follows its end mark"},
		{"zeros behind the end", append(pack(t, file("a", "")), make([]byte, 512)...), "", "something follows its end mark"},
		{"second archive", append(pack(t, file("a", "")), pack(t, file("b", ""))...), "", "something follows its end mark"},
		{"file larger than it is", forge(pack(t, file("a", "x")), 0, func(h []byte) { copy(h[124:], "00000100000\x00") }), "", "unexpected EOF"},
		{"negative size", forge(pack(t, file("a", "x")), 0, func(h []byte) { copy(h[124:], "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff") }), "", "not a well-formed archive"},
		{"directory with content", forge(pack(t, dir("a", 0o755)), 0, func(h []byte) { copy(h[124:], "00000001000\x00") }), "a", "not a regular file has content"},
		{"wrong checksum", corrupt(pack(t, file("a", "x")), 0), "", "not a well-formed archive"},
		{"v7 format", forge(pack(t, file("a", "x")), 0, func(h []byte) { clear(h[257:265]) }), "a", "neither ustar nor pax"},
		{"GNU sparse file", forge(pack(t, with(file("a", "x"), func(m *member) { m.Format = tar.FormatGNU })), 0, func(h []byte) { h[156] = 'S' }), "a", "neither ustar nor pax"},
		{"PAX sparse file", sparse(t), "a", "sparse file"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := buildcontext.Canonical(io.Discard, bytes.NewReader(tc.data), buildcontext.Limits{})
			wantInputError(t, err, tc.path, tc.reason)
		})
	}
}

func gzipMagic() []byte { return append([]byte{0x1f, 0x8b, 8}, make([]byte, 2000)...) }

// forge changes the header block at offset and repairs its checksum.
func forge(data []byte, offset int, change func(header []byte)) []byte {
	data = bytes.Clone(data)
	h := data[offset : offset+512]
	change(h)
	copy(h[148:156], "        ")
	sum := 0
	for _, b := range h {
		sum += int(b)
	}
	copy(h[148:156], []byte{'0', '0' + byte(sum>>12&7), '0' + byte(sum>>9&7), '0' + byte(sum>>6&7), '0' + byte(sum>>3&7), '0' + byte(sum&7), 0, ' '})
	return data
}

func corrupt(data []byte, at int) []byte {
	data = bytes.Clone(data)
	data[at] ^= 0x40
	return data
}

// sparse is a sparse file as GNU tar writes it with --sparse-version=0.1. The
// writer of archive/tar refuses such records, so they stand under another name
// of the same length first.
func sparse(t *testing.T) []byte {
	data := pack(t, with(file("a", "x"), func(m *member) {
		m.PAXRecords = map[string]string{"XXX.sparse.size": "1048576", "XXX.sparse.numblocks": "1", "XXX.sparse.map": "0,1"}
	}))
	return bytes.ReplaceAll(data, []byte("XXX.sparse"), []byte("GNU.sparse"))
}

func TestCanonicalRefusesCutOff(t *testing.T) {
	data := pack(t, dir("a", 0o755), file("a/b", strings.Repeat("x", 700)), link("a/c", strings.Repeat("t", 200)), file("d", ""))
	for n := 0; n < len(data); n += min(73, 512-n%512) { // every block's start, and some more
		_, err := buildcontext.Canonical(io.Discard, bytes.NewReader(data[:n]), buildcontext.Limits{})
		if !isInputError(err) {
			t.Fatalf("cut to %d of %d bytes: got error %v, want an InputError", n, len(data), err)
		}
	}
}

func TestCanonicalLimits(t *testing.T) {
	data := pack(t, dir("a", 0o755), file("a/x", "0123456789"), file("b", "01234567890123456789"))
	for _, l := range []buildcontext.Limits{{Bytes: 30, Entries: 3}, {Bytes: math.MaxInt64, Entries: math.MaxInt}} {
		if _, err := buildcontext.Canonical(io.Discard, bytes.NewReader(data), l); err != nil {
			t.Errorf("within %+v: %v", l, err)
		}
	}
	for _, tc := range []struct {
		name         string
		data         []byte
		limits       buildcontext.Limits
		path, reason string
	}{
		{"bytes", data, buildcontext.Limits{Bytes: 29}, "b", "KILN_CONTEXT_MAX_BYTES"},
		{"entries", data, buildcontext.Limits{Entries: 2}, "b", "KILN_CONTEXT_MAX_ENTRIES"},
		{"claimed bytes", forge(pack(t, file("a", "")), 0, func(h []byte) { copy(h[124:], "77777777777\x00") }), buildcontext.Limits{}, "a", "KILN_CONTEXT_MAX_BYTES"},
		{"headers", bloated(t), buildcontext.Limits{Bytes: 1, Entries: 1}, "", "longer than its limits of size and entries allow"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := buildcontext.Canonical(io.Discard, bytes.NewReader(tc.data), tc.limits)
			wantInputError(t, err, tc.path, tc.reason)
		})
	}
}

// bloated is one entry with a long record that means nothing.
func bloated(t *testing.T) []byte {
	return pack(t, with(file("a", ""), func(m *member) {
		m.PAXRecords = map[string]string{"KILN.padding": strings.Repeat("x", 1<<18)}
	}))
}

func TestCanonicalKeepsOtherErrors(t *testing.T) {
	data := pack(t, file("a", strings.Repeat("x", 1<<20)), file("b", "x"))
	failure := errors.New("disk on fire")
	for _, tc := range []struct {
		name string
		dst  io.Writer
		src  io.Reader
	}{
		{"read", io.Discard, io.MultiReader(bytes.NewReader(data[:600]), iotest.ErrReader(failure))},
		{"read a header", io.Discard, io.MultiReader(bytes.NewReader(data[:100]), iotest.ErrReader(failure))},
		{"read the end", io.Discard, io.MultiReader(bytes.NewReader(data), iotest.ErrReader(failure))},
		{"write", &onWrite{io.Discard, func() error { return failure }}, bytes.NewReader(data)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := buildcontext.Canonical(tc.dst, tc.src, buildcontext.Limits{})
			if !errors.Is(err, failure) {
				t.Errorf("got error %v, want %v", err, failure)
			}
			if isInputError(err) {
				t.Errorf("%v blames the context", err)
			}
		})
	}
}

func TestCanonicalReadsAsItComes(t *testing.T) {
	data := pack(t, dir("a", 0o755), file("a/b", strings.Repeat("x", 700)), file("c", ""))
	want, wantSum := canonical(t, data)
	for name, src := range map[string]io.Reader{
		"byte by byte":            iotest.OneByteReader(bytes.NewReader(data)),
		"end with the last bytes": iotest.DataErrReader(bytes.NewReader(data)),
	} {
		var got bytes.Buffer
		sum, err := buildcontext.Canonical(&got, src, buildcontext.Limits{})
		if err != nil || sum != wantSum || !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s: summary %+v, error %v, same bytes %t; want %+v", name, sum, err, bytes.Equal(got.Bytes(), want), wantSum)
		}
	}
}

func TestStageIsCanonical(t *testing.T) {
	root := contextDir(t, map[string]string{
		"Dockerfile": "FROM a", "a/b/c": "x", "a-b": "y", "a.b/": "", "l": "-> /", ".dockerignore": "a/b/*\n!a/b/c\n", "ü/ö": "z", "raw\xff/x": "",
	})
	if err := os.Chtimes(filepath.Join(root, "a-b"), time.Time{}, time.Unix(-5, 17)); err != nil {
		t.Fatal(err)
	}
	var staged bytes.Buffer
	sum, err := buildcontext.Stage(&staged, filepath.Join(root, "Dockerfile"), buildcontext.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	packed, canonicalSum := canonical(t, staged.Bytes())
	if !bytes.Equal(staged.Bytes(), plain(t, packed)) {
		t.Error("Canonical changed what Stage wrote")
	}
	if diff := cmp.Diff(sum, canonicalSum); diff != "" {
		t.Errorf("summaries of Stage and Canonical (-Stage +Canonical):\n%s", diff)
	}
}
