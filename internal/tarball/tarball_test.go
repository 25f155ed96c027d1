package tarball_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/ulikunitz/xz"

	"kiln/internal/tarball"
)

// pack makes an archive of empty entries.
func pack(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, h := range headers {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestLook(t *testing.T) {
	for name, tt := range map[string]struct {
		content string
		want    tarball.Facts
	}{
		"nothing": {"", tarball.Facts{}},
		"text":    {"text", tarball.Facts{}},
		"gzip":    {"\x1f\x8b\x08", tarball.Facts{Kaniko: true, Format: "gzip"}},
		"bzip2":   {"BZh9", tarball.Facts{Kaniko: true, Format: "bzip2"}},
		"xz":      {"\xfd7zXZ\x00", tarball.Facts{Kaniko: true, Format: "xz"}},
		"zstd":    {"\x28\xb5\x2f\xfd", tarball.Facts{Kaniko: true, Format: "zstd"}},
		"skipped": {"\x5e\x2a\x4d\x18\x00\x00\x00\x00", tarball.Facts{Kaniko: true, Format: "zstd"}},
		"tar":     {string(pack(t, tar.Header{Name: "/x/f"})), tarball.Facts{Docker: true, Kaniko: true}},
		"end":     {strings.Repeat("\x00", 1024), tarball.Facts{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tarball.Look(t.Context(), strings.NewReader(tt.content), tarball.Watch{})
			if err != nil || got.Docker != tt.want.Docker || got.Kaniko != tt.want.Kaniko || got.Format != tt.want.Format {
				t.Errorf("Look = %+v, %v, want %+v", got, err, tt.want)
			}
		})
	}
}

// A dictionary that is larger than what is unpacked takes no memory.
func TestLookAtLargeDictionary(t *testing.T) {
	var out bytes.Buffer
	w, err := xz.WriterConfig{DictCap: 16 << 20}.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(pack(t, tar.Header{Name: "f"})); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := tarball.Look(t.Context(), &out, tarball.Watch{}); err != nil || !got.Docker || got.Excess {
		t.Errorf("Look = %+v, %v", got, err)
	}
}

// An error of the reader is none of the file's.
func TestLookFails(t *testing.T) {
	broken := errors.New("broken")
	archive := pack(t, tar.Header{Name: "f"}, tar.Header{Name: "g"})
	in := io.MultiReader(bytes.NewReader(archive[:600]), iotest.ErrReader(broken))
	if _, err := tarball.Look(t.Context(), in, tarball.Watch{}); !errors.Is(err, broken) {
		t.Errorf("error = %v, want %v", err, broken)
	}
}

// Names are kept once, whatever the archive holds.
func TestLookWatches(t *testing.T) {
	archive := pack(t, tar.Header{Name: "./etc/hosts"}, tar.Header{Name: "/etc/hosts"}, tar.Header{Name: "dev/", Typeflag: tar.TypeDir}, tar.Header{Name: "proc/x"})
	got, err := tarball.Look(t.Context(), bytes.NewReader(archive), tarball.Watch{Files: []string{"etc/hosts"}, Directories: []string{"dev", "proc"}})
	if text := strings.Join(got.Watched, " "); err != nil || text != "etc/hosts proc" {
		t.Errorf("watched %q, %v", text, err)
	}
}

func FuzzLook(f *testing.F) {
	f.Add([]byte("\x1f\x8b\x08"))
	f.Add(pack(f, tar.Header{Name: "f"}, tar.Header{Name: "p", Typeflag: tar.TypeFifo}))
	f.Fuzz(func(t *testing.T, content []byte) {
		got, err := tarball.Look(t.Context(), bytes.NewReader(content), tarball.Watch{Files: []string{"f"}})
		if err != nil || got.Docker && !got.Kaniko {
			t.Errorf("Look = %+v, %v", got, err)
		}
		if listed, err := tarball.List(t.Context(), bytes.NewReader(content)); got.Lists() && err != nil {
			t.Errorf("List = %+v, %v", listed, err)
		}
	})
}

// TestList lists what a target gets, and nothing else.
func TestList(t *testing.T) {
	at := time.Date(2001, 1, 1, 0, 0, 0, 5e8, time.UTC)
	archive := pack(t,
		tar.Header{Typeflag: tar.TypeXGlobalHeader, Name: "pax_global_header", PAXRecords: map[string]string{"comment": "c"}},
		tar.Header{Typeflag: tar.TypeDir, Name: "./", Mode: 0o755},
		tar.Header{Typeflag: tar.TypeDir, Name: "/d/./", Mode: 0o2711, Uid: 1, Gid: 2, ModTime: at, Format: tar.FormatPAX},
		tar.Header{Name: "d/../f", Mode: 0o100644, ModTime: time.Unix(-5, 0)},
		tar.Header{Typeflag: tar.TypeSymlink, Name: "l", Linkname: "../d", Mode: 0o777, ModTime: at, Format: tar.FormatPAX},
		tar.Header{Typeflag: tar.TypeFifo, Name: "p", Mode: 0o600, ModTime: at, Format: tar.FormatPAX},
	)
	want := []tarball.Entry{
		{Name: ".", Kind: tar.TypeDir, Mode: 0o755, Time: time.Unix(0, 0)},
		{Name: "d", Kind: tar.TypeDir, Mode: 0o2711, UID: 1, GID: 2, Time: at},
		{Name: "f", Kind: tar.TypeReg, Mode: 0o644, Time: time.Unix(0, 0)},
		{Name: "l", Kind: tar.TypeSymlink, Mode: 0o777, Target: "../d", Time: at},
		{Name: "p", Kind: tar.TypeFifo, Mode: 0o600, Time: at},
	}
	got, err := tarball.List(t.Context(), bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("List (-want +got):\n%s", diff)
	}
	if facts, err := tarball.Look(t.Context(), bytes.NewReader(archive), tarball.Watch{}); err != nil || !facts.Lists() {
		t.Errorf("Look = %+v, %v", facts, err)
	}
}

// TestListForeign takes no archive in part.
func TestListForeign(t *testing.T) {
	const maxID = 1<<32 - 1
	for name, h := range map[string]tar.Header{
		"a hard link":          {Typeflag: tar.TypeLink, Name: "l", Linkname: "first"},
		"a device":             {Typeflag: tar.TypeChar, Name: "c"},
		"extended attributes":  {Name: "f", PAXRecords: map[string]string{"SCHILY.xattr.user.a": "b"}},
		"a way out":            {Name: "d/../../f"},
		"the root":             {Typeflag: tar.TypeDir, Name: "/"},
		"a whiteout":           {Name: "d/.wh.f"},
		"below a whiteout":     {Name: "d/.wh.d/f"},
		"a link to nothing":    {Typeflag: tar.TypeSymlink, Name: "l"},
		"a link that is long":  {Typeflag: tar.TypeSymlink, Name: "l", Linkname: strings.Repeat("n/", 2048)},
		"a name that is long":  {Name: strings.Repeat("n/", 2048)},
		"a sparse file":        {Name: "f", PAXRecords: map[string]string{"KNU.sparse.major": "9"}},
		"nobody's":             {Name: "f", Uid: maxID},
		"no group's":           {Name: "f", Gid: maxID},
		"of a kind of its own": {Typeflag: 'Z', Name: "f"},
	} {
		// The library writes no records of GNU's.
		archive := bytes.ReplaceAll(pack(t, tar.Header{Name: "first"}, h), []byte("KNU.sparse."), []byte("GNU.sparse."))
		got, err := tarball.List(t.Context(), bytes.NewReader(archive))
		if !errors.Is(err, tarball.ErrArchive) {
			t.Errorf("%s: List = %+v, %v", name, got, err)
		}
		if facts, err := tarball.Look(t.Context(), bytes.NewReader(archive), tarball.Watch{}); err != nil || facts.Lists() {
			t.Errorf("%s: Look = %+v, %v", name, facts, err)
		}
	}
}

// TestListCutOff tells what is wrong with an archive from what is wrong with its file.
func TestListCutOff(t *testing.T) {
	archive, broken := pack(t, tar.Header{Name: "f"}, tar.Header{Name: "g"}), errors.New("broken")
	if _, err := tarball.List(t.Context(), bytes.NewReader(archive[:700])); !errors.Is(err, tarball.ErrArchive) {
		t.Errorf("the error is %v", err)
	}
	if _, err := tarball.List(t.Context(), io.MultiReader(bytes.NewReader(archive[:700]), iotest.ErrReader(broken))); !errors.Is(err, broken) || errors.Is(err, tarball.ErrArchive) {
		t.Errorf("the error is %v, want %v alone", err, broken)
	}
	if _, err := tarball.List(t.Context(), strings.NewReader("\x1f\x8b\x08")); !errors.Is(err, tarball.ErrArchive) {
		t.Errorf("the error of a file that is none is %v", err)
	}
}

// TestLookWithin unpacks no more than it may.
func TestLookWithin(t *testing.T) {
	archive := pack(t, tar.Header{Name: "f"}, tar.Header{Name: "g"})
	for limit, excess := range map[int64]bool{600: true, 1 << 20: false} {
		got, err := tarball.Look(t.Context(), bytes.NewReader(archive), tarball.Watch{Bytes: limit})
		if err != nil || got.Excess != excess || got.Bytes == 0 || got.Bytes > limit {
			t.Errorf("within %d: Look = %+v, %v", limit, got, err)
		}
	}
}

// TestListCancelled ends while it unpacks, and not with the next piece of the file.
func TestListCancelled(t *testing.T) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	archive := tar.NewWriter(w)
	content := make([]byte, 64<<20)
	err := archive.WriteHeader(&tar.Header{Name: "f", Size: int64(len(content))})
	if err == nil {
		_, err = archive.Write(content)
	}
	if err = errors.Join(err, archive.Close(), w.Close()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause, read := errors.New("cancelled"), 0
	err = tarball.Walk(ctx, &packed, func(_ int, _ *tar.Header, member io.Reader) error {
		cancel(cause)
		n, err := io.Copy(io.Discard, member)
		read = int(n)
		return err
	})
	if !errors.Is(err, cause) || read > 1<<20 {
		t.Errorf("the error after %d bytes is %v, want %v", read, err, cause)
	}
}

// TestGzipHeader is about a header that Go's reader refuses, and others do not.
func TestGzipHeader(t *testing.T) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	w.Name = strings.Repeat("n", 600)
	if _, err := w.Write(pack(t, tar.Header{Name: "f"})); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := tarball.Look(t.Context(), &packed, tarball.Watch{}); err != nil || !got.Excess || got.Lists() {
		t.Errorf("Look = %+v, %v", got, err)
	}
}

// TestXzStreams reads all streams of a file, as xz does.
func TestXzStreams(t *testing.T) {
	one, two := pack(t, tar.Header{Name: "one"}), pack(t, tar.Header{Name: "two"})
	cut := one[:512] // without its end, so that two follows
	for name, tt := range map[string]struct {
		content []byte
		want    string
	}{
		"one":                    {xzOf(t, xz.CRC64, one), "one"},
		"one checked by SHA-256": {xzOf(t, xz.SHA256, one), "one"},
		"two":                    {slices.Concat(xzOf(t, xz.CRC32, cut), xzOf(t, xz.CRC64, two)), "one two"},
		"two with padding":       {slices.Concat(xzOf(t, xz.CRC64, cut), make([]byte, 8), xzOf(t, xz.CRC32, two), make([]byte, 4)), "one two"},
		"an empty one first":     {slices.Concat(xzOf(t, xz.CRC64, nil), xzOf(t, xz.CRC64, one)), "one"},
		"padding of no four":     {slices.Concat(xzOf(t, xz.CRC64, cut), make([]byte, 5)), "error"},
		"something behind":       {slices.Concat(xzOf(t, xz.CRC64, cut), []byte("something behind")), "error"},
		"another magic":          {slices.Concat(xzOf(t, xz.CRC64, cut), bytes.Replace(xzOf(t, xz.CRC64, two), []byte("7z"), []byte("7Z"), 1)), "error"},
		"no footer":              {cutBy(xzOf(t, xz.CRC64, cut), 12), "error"},
		"no index":               {cutBy(xzOf(t, xz.CRC64, cut), 20), "error"},
		"no check":               {cutBy(xzOf(t, xz.CRC64, cut), 28), "error"},
		"a wrong CRC64":          {damaged(xzOf(t, xz.CRC64, cut), 8), "error"},
		"many blocks of nothing": {emptyBlocks(3000), "error"},
		"a wrong CRC32":          {damaged(xzOf(t, xz.CRC32, cut), 4), "error"},
		"a wrong SHA-256":        {damaged(xzOf(t, xz.SHA256, cut), 32), "error"},
	} {
		all, err := tarball.List(t.Context(), bytes.NewReader(tt.content))
		var names []string
		for _, e := range all {
			names = append(names, e.Name)
		}
		got := strings.Join(names, " ")
		if err != nil {
			got = "error"
		}
		if got != tt.want {
			t.Errorf("%s: %s, %v, want %s", name, got, err, tt.want)
		}
		if facts, err := tarball.Look(t.Context(), bytes.NewReader(tt.content), tarball.Watch{}); err != nil || facts.Lists() != (tt.want != "error") {
			t.Errorf("%s: Look = %+v, %v", name, facts, err)
		}
	}
}

// xzOf is content in one stream.
func xzOf(t *testing.T, check byte, content []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := xz.WriterConfig{CheckSum: check}.NewWriter(&out)
	if err == nil {
		_, err = w.Write(content)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// cutBy lacks so many bytes of its end.
func cutBy(content []byte, n int) []byte { return content[:len(content)-n] }

// emptyBlocks is a stream without checks of blocks that hold nothing, each of which asks
// for a dictionary of 4 MiB.
func emptyBlocks(count int) []byte {
	header := []byte{2, 0, 0x21, 1, 22, 0, 0, 0}
	block := slices.Concat(header, binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE(header)), make([]byte, 4))
	return slices.Concat([]byte("\xfd7zXZ\x00\x00\x00\xff\x12\xd9\x41"), bytes.Repeat(block, count))
}

// TestNamesOfTheirOwn keeps no more of a header than its names.
func TestNamesOfTheirOwn(t *testing.T) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for i := range 64 {
		h := tar.Header{Name: fmt.Sprintf("ü%d", i), Format: tar.FormatPAX, PAXRecords: map[string]string{"KILN.comment": strings.Repeat("c", 1<<20-100)}}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	with := func() int64 {
		all, err := tarball.List(t.Context(), bytes.NewReader(out.Bytes()))
		if err != nil || len(all) != 64 {
			t.Fatalf("%d entries, %v", len(all), err)
		}
		defer runtime.KeepAlive(all)
		return inUse()
	}()
	if freed := with - inUse(); freed > 4<<20 {
		t.Errorf("the list held %d bytes", freed)
	}
	runtime.KeepAlive(out)
}

// inUse is the memory of what is referred to, in bytes.
func inUse() int64 {
	runtime.GC()
	var of runtime.MemStats
	runtime.ReadMemStats(&of)
	return int64(of.HeapAlloc)
}

// damaged has another check of its one block, which takes so many bytes and stands before
// the index of eight and the footer of twelve.
func damaged(content []byte, check int) []byte {
	content = slices.Clone(content)
	content[len(content)-12-8-check] ^= 1
	return content
}
