package tarball_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

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
			got, err := tarball.Look(strings.NewReader(tt.content), tarball.Watch{})
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
	if got, err := tarball.Look(&out, tarball.Watch{}); err != nil || !got.Docker || got.Excess {
		t.Errorf("Look = %+v, %v", got, err)
	}
}

// An error of the reader is none of the file's.
func TestLookFails(t *testing.T) {
	broken := errors.New("broken")
	archive := pack(t, tar.Header{Name: "f"}, tar.Header{Name: "g"})
	in := io.MultiReader(bytes.NewReader(archive[:600]), iotest.ErrReader(broken))
	if _, err := tarball.Look(in, tarball.Watch{}); !errors.Is(err, broken) {
		t.Errorf("error = %v, want %v", err, broken)
	}
}

// Names are kept once, whatever the archive holds.
func TestLookWatches(t *testing.T) {
	archive := pack(t, tar.Header{Name: "./etc/hosts"}, tar.Header{Name: "/etc/hosts"}, tar.Header{Name: "dev/", Typeflag: tar.TypeDir}, tar.Header{Name: "proc/x"})
	got, err := tarball.Look(bytes.NewReader(archive), tarball.Watch{Files: []string{"etc/hosts"}, Directories: []string{"dev", "proc"}})
	if text := strings.Join(got.Watched, " "); err != nil || text != "etc/hosts proc" {
		t.Errorf("watched %q, %v", text, err)
	}
}

func FuzzLook(f *testing.F) {
	f.Add([]byte("\x1f\x8b\x08"))
	f.Add(pack(f, tar.Header{Name: "f"}, tar.Header{Name: "p", Typeflag: tar.TypeFifo}))
	f.Fuzz(func(t *testing.T, content []byte) {
		got, err := tarball.Look(bytes.NewReader(content), tarball.Watch{Files: []string{"f"}})
		if err != nil || got.Docker && !got.Kaniko {
			t.Errorf("Look = %+v, %v", got, err)
		}
	})
}
