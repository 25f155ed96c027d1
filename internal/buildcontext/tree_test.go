package buildcontext_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"kiln/internal/buildcontext"

	"github.com/google/go-cmp/cmp"
)

// member is an entry of a tar with its content.
type member struct {
	tar.Header
	Content string
}

func dir(name string, mode int64) member {
	return member{Header: tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: mode, ModTime: time.Unix(1, 0), Format: tar.FormatPAX}}
}

func file(name, content string) member {
	return member{Header: tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content)), ModTime: time.Unix(1, 0), Format: tar.FormatPAX}, Content: content}
}

func link(name, target string) member {
	return member{Header: tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777, ModTime: time.Unix(1, 0), Format: tar.FormatPAX}}
}

// pack writes members as they are.
func pack(t testing.TB, members ...member) []byte {
	t.Helper()
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	for _, m := range members {
		if err := tw.WriteHeader(&m.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(tw, m.Content); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// unpack reads a plain tar that the package wrote: an entry for the context's
// own directory, always the same, and the others, which it returns.
func unpack(t testing.TB, data []byte) []member {
	t.Helper()
	var members []member
	tr := tar.NewReader(bytes.NewReader(data))
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return withoutRoot(t, members)
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		members = append(members, member{Header: *h, Content: string(content)})
	}
}

func withoutRoot(t testing.TB, members []member) []member {
	t.Helper()
	want := member{Header: tar.Header{Typeflag: tar.TypeDir, Name: "./", Mode: 0o755, ModTime: buildcontext.Time(), Format: tar.FormatUSTAR}}
	if len(members) == 0 {
		t.Fatal("the archive is empty")
	}
	if diff := cmp.Diff(want, members[0]); diff != "" {
		t.Fatalf("first entry (-want +got):\n%s", diff)
	}
	return members[1:]
}

func names(members []member) []string {
	var out []string
	for _, m := range members {
		out = append(out, m.Name)
	}
	return out
}

func gunzip(t testing.TB, data []byte) []byte {
	t.Helper()
	gz, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(gz)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// plain is the tar that Canonical wrote with the names that it was given: every
// entry has to lie below Dir.
func plain(t testing.TB, packed []byte) []byte {
	t.Helper()
	var members []member
	tr := tar.NewReader(bytes.NewReader(gunzip(t, packed)))
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return pack(t, members...)
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		name, below := strings.CutPrefix(h.Name, buildcontext.Dir+"/")
		if !below {
			t.Fatalf("the entry %q is not below %s", h.Name, buildcontext.Dir)
		}
		if h.Name, h.Format, h.PAXRecords = name, tar.FormatPAX, nil; name == "" {
			h.Name = "./"
		}
		members = append(members, member{Header: *h, Content: string(content)})
	}
}

// contextDir makes a directory with files in it. A name with a final slash is
// a directory, content that begins with "-> " makes a symbolic link.
func contextDir(t testing.TB, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		put(t, root, name, content)
	}
	return root
}

func put(t testing.TB, root, name, content string) {
	t.Helper()
	host := filepath.Join(root, name)
	target, isLink := strings.CutPrefix(content, "-> ")
	err := os.MkdirAll(filepath.Dir(host), 0o755)
	switch {
	case err != nil:
	case strings.HasSuffix(name, "/"):
		err = os.MkdirAll(host, 0o755)
	case isLink:
		err = os.Symlink(target, host)
	default:
		err = os.WriteFile(host, []byte(content), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// stage stages root/Dockerfile with default limits.
func stage(t testing.TB, root string) ([]member, buildcontext.Summary) {
	t.Helper()
	var buf bytes.Buffer
	sum, err := buildcontext.Stage(&buf, filepath.Join(root, "Dockerfile"), buildcontext.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return unpack(t, buf.Bytes()), sum
}

func isInputError(err error) bool {
	_, ok := errors.AsType[*buildcontext.InputError](err)
	return ok
}

// wantInputError checks that err blames path for a reason that holds part.
func wantInputError(t *testing.T, err error, path, part string) {
	t.Helper()
	bad, ok := errors.AsType[*buildcontext.InputError](err)
	if !ok {
		t.Fatalf("got error %v, want an InputError with %q", err, part)
	}
	if bad.Path != path || !strings.Contains(bad.Reason, part) {
		t.Errorf("got path %q, reason %q; want path %q, reason with %q", bad.Path, bad.Reason, path, part)
	}
}

// unprivileged runs f with the file system rights of a user who owns nothing,
// also when the test runs as root.
func unprivileged(t *testing.T, root string, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	for _, d := range []string{root, filepath.Dir(root)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// setfsuid holds for one thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := syscall.Setfsuid(65534); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Setfsuid(0); err != nil {
			t.Error(err)
		}
	}()
	f()
}
