package spool_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"kiln/internal/spool"
)

// intruders are what workflow code can put in the place of a file or
// directory. None of them may stop, follow or fool a reader.
func intruders() map[string]func(t *testing.T, path string) {
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	outside := func(t *testing.T) string {
		path := filepath.Join(t.TempDir(), "secret")
		must(t, os.WriteFile(path, []byte("secret"), 0o666))
		return path
	}
	return map[string]func(t *testing.T, path string){
		"fifo":   func(t *testing.T, path string) { must(t, syscall.Mkfifo(path, 0o666)) },
		"socket": func(t *testing.T, path string) { must(t, syscall.Mknod(path, syscall.S_IFSOCK|0o666, 0)) },
		"device": func(t *testing.T, path string) {
			if err := syscall.Mknod(path, syscall.S_IFCHR|0o666, 1<<8|5); err != nil { // /dev/zero
				t.Skipf("cannot make a device: %v", err)
			}
		},
		"link outside": func(t *testing.T, path string) { must(t, os.Symlink(outside(t), path)) },
		"link up":      func(t *testing.T, path string) { must(t, os.Symlink("../../../../../etc/passwd", path)) },
		"link inside": func(t *testing.T, path string) {
			must(t, os.WriteFile(path+".plain", []byte(`{"version":1}`), 0o666))
			must(t, os.Symlink(filepath.Base(path)+".plain", path))
		},
		"dangling link": func(t *testing.T, path string) { must(t, os.Symlink("nothing", path)) },
		"link to self":  func(t *testing.T, path string) { must(t, os.Symlink(filepath.Base(path), path)) },
		"hard link": func(t *testing.T, path string) {
			must(t, os.WriteFile(path+".plain", []byte(`{"version":1}`), 0o666))
			must(t, os.Link(path+".plain", path))
		},
	}
}

// tampered drops a request and replaces one of its files.
func tampered(t *testing.T, exchange *spool.Exchange, dir, file string, place func(*testing.T, string)) *spool.Draft {
	t.Helper()
	draft := drop(t, exchange, "context")
	path := filepath.Join(dir, "requests", draft.ID, file)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	place(t, path)
	return draft
}

// TestIntruders replaces each file of a request with each intruder. The claim
// must say so, be answered, and leave an exchange that serves the next.
func TestIntruders(t *testing.T) {
	kinds := intruders()
	kinds["directory"] = func(t *testing.T, path string) {
		if err := os.MkdirAll(filepath.Join(path, "deep", "deeper"), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"request.json", "lock", "context.tar"} {
		for kind, place := range kinds {
			t.Run(file+"/"+kind, func(t *testing.T) {
				dir := exchangeDir(t)
				exchange := open(t, dir)
				draft := tampered(t, exchange, dir, file, place)
				c := claim(t, exchange, draft.ID)
				err := c.Bad
				if file == "context.tar" {
					if c.Bad != nil {
						t.Fatalf("Bad = %v for a good request", c.Bad)
					}
					_, err = c.Context()
				}
				if err == nil || !strings.Contains(err.Error(), file) {
					t.Errorf("err = %v, want one that names %s", err, file)
				}
				finish(t, c, draft)
				draft.Crash()
				if err := exchange.Clear(draft.ID); (err != nil) != (kind == "directory") {
					t.Errorf("Clear = %v", err)
				}
				if kind != "directory" && len(left(t, dir)) > 0 {
					t.Errorf("left behind: %v", left(t, dir))
				}
				next := drop(t, exchange, "context")
				if c := claim(t, exchange, next.ID); c.Bad != nil {
					t.Errorf("the next request: %v", c.Bad)
				}
			})
		}
	}
}

// finish answers c and wants the shim to see it.
func finish(t *testing.T, c *spool.Claim, draft *spool.Draft) {
	t.Helper()
	if err := c.Finish(1); err != nil {
		t.Fatal(err)
	}
	result, ok, err := draft.Result(new(bytes.Buffer))
	if !ok || err != nil || result.ExitCode != 1 {
		t.Fatalf("Result = %+v, %v, %v, want exit code 1", result, ok, err)
	}
}

// TestBadRequests writes request.json by hand.
func TestBadRequests(t *testing.T) {
	deep := strings.Repeat("[", 100_000)
	for name, test := range map[string]struct {
		content string
		want    string
	}{
		"empty":             {"", "unexpected end"},
		"no json":           {"\x00\xff\x7fELF", "invalid character"},
		"array":             {"[]", "cannot unmarshal"},
		"null":              {"null", "version 0"},
		"no version":        {"{}", "version 0"},
		"older":             {`{"version":0}`, "version 0"},
		"newer":             {`{"version":2}`, "version 2"},
		"version text":      {`{"version":"1"}`, "cannot unmarshal"},
		"trailing":          {`{"version":1}{}`, "after top-level value"},
		"deep args":         {`{"version":1,"args":` + deep, "depth"},
		"deep unknown":      {`{"version":1,"x":` + deep + strings.Repeat("]", 100_000) + "}", "depth"},
		"over the limit":    {`{"version":1,"path":"` + strings.Repeat("a", spool.MaxRequestBytes), "larger than 4194304 bytes"},
		"one byte over":     {padded(spool.MaxRequestBytes + 1), "larger than 4194304 bytes"},
		"exactly the limit": {padded(spool.MaxRequestBytes), ""},
		"unknown fields":    {`{"version":1,"later":{"a":[1]}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := exchangeDir(t)
			exchange := open(t, dir)
			draft := tampered(t, exchange, dir, "request.json", func(t *testing.T, path string) {
				if err := os.WriteFile(path, []byte(test.content), 0o666); err != nil {
					t.Fatal(err)
				}
			})
			c := claim(t, exchange, draft.ID)
			switch {
			case test.want == "" && c.Bad != nil:
				t.Errorf("Bad = %v, want none", c.Bad)
			case test.want != "" && (c.Bad == nil || !strings.Contains(c.Bad.Error(), test.want)):
				t.Errorf("Bad = %v, want %q", c.Bad, test.want)
			case test.want != "" && len(c.Bad.Error()) > 300:
				t.Errorf("Bad has %d bytes: %.100s", len(c.Bad.Error()), c.Bad)
			}
			finish(t, c, draft)
		})
	}
}

// padded returns a good request of n bytes.
func padded(n int) string {
	const text = `{"version":1}`
	return text + strings.Repeat(" ", n-len(text))
}

// TestHugeRequest wants that a sparse file of a terabyte costs no memory.
func TestHugeRequest(t *testing.T) {
	dir := exchangeDir(t)
	exchange := open(t, dir)
	draft := tampered(t, exchange, dir, "request.json", func(t *testing.T, path string) {
		if err := os.WriteFile(path, nil, 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, 1<<40); err != nil {
			t.Skipf("no sparse files here: %v", err)
		}
	})
	if c := claim(t, exchange, draft.ID); c.Bad == nil || !strings.Contains(c.Bad.Error(), "larger than") {
		t.Errorf("Bad = %v", c.Bad)
	}
}

// TestMissingFiles takes files away.
func TestMissingFiles(t *testing.T) {
	for _, file := range []string{"request.json", "lock", "context.tar"} {
		t.Run(file, func(t *testing.T) {
			dir := exchangeDir(t)
			exchange := open(t, dir)
			draft := tampered(t, exchange, dir, file, func(*testing.T, string) {})
			c := claim(t, exchange, draft.ID)
			err := c.Bad
			if file == "context.tar" {
				_, err = c.Context()
			}
			if !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("err = %v, want %v", err, fs.ErrNotExist)
			}
			if got := c.Vanished(); got != (file == "lock") {
				t.Errorf("Vanished() = %v", got)
			}
			finish(t, c, draft)
		})
	}
}

// TestRequestIsNoDirectory puts intruders in the place of whole requests. No
// claim succeeds, no reader hangs, and Clear takes them away.
func TestRequestIsNoDirectory(t *testing.T) {
	for kind, place := range intruders() {
		t.Run(kind, func(t *testing.T) {
			dir := exchangeDir(t)
			exchange := open(t, dir)
			id := spool.NewID()
			place(t, filepath.Join(dir, "requests", id))
			if c, err := exchange.Claim(id, 1); err == nil {
				c.Close()
				t.Error("Claim succeeds")
			}
			if err := exchange.Clear(id); err != nil {
				t.Errorf("Clear = %v", err)
			}
			if _, err := os.Lstat(filepath.Join(dir, "requests", id)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s stays: %v", kind, err)
			}
		})
	}
	t.Run("link to a request", func(t *testing.T) {
		dir := exchangeDir(t)
		exchange := open(t, dir)
		draft, id := drop(t, exchange, ""), spool.NewID()
		if err := os.Symlink(draft.ID, filepath.Join(dir, "requests", id)); err != nil {
			t.Fatal(err)
		}
		if c, err := exchange.Claim(id, 1); err == nil {
			c.Close()
			t.Error("Claim follows a link")
		}
		if err := exchange.Clear(id); err != nil {
			t.Error(err)
		}
		if c := claim(t, exchange, draft.ID); c.Bad != nil {
			t.Errorf("the link's target was disturbed: %v", c.Bad)
		}
	})
}

// TestAnswerInTheWay puts things where the answer goes.
func TestAnswerInTheWay(t *testing.T) {
	kinds := intruders()
	kinds["directory"] = func(t *testing.T, path string) {
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(path, spool.SegmentName(0)), []byte("forged"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for kind, place := range kinds {
		for name, answer := range map[string]func(*testing.T, *spool.Exchange, string){
			"claim": func(t *testing.T, e *spool.Exchange, id string) {
				if err := claim(t, e, id).Finish(1); err != nil {
					t.Fatal(err)
				}
			},
			"abandon": func(t *testing.T, e *spool.Exchange, id string) {
				if err := e.Abandon(id, "lost"); err != nil {
					t.Fatal(err)
				}
			},
		} {
			t.Run(kind+"/"+name, func(t *testing.T) {
				dir := exchangeDir(t)
				exchange := open(t, dir)
				draft := drop(t, exchange, "")
				place(t, filepath.Join(dir, "responses", draft.ID))
				answer(t, exchange, draft.ID)
				var printed bytes.Buffer
				result, ok, err := draft.Result(&printed)
				if !ok || err != nil || result.ExitCode != 1 {
					t.Errorf("Result = %+v, %v, %v", result, ok, err)
				}
				if name == "claim" && printed.Len() > 0 {
					t.Errorf("printed %q", printed.String())
				}
			})
		}
	}
}

// TestShimIntruders puts things where the shim reads the answer.
func TestShimIntruders(t *testing.T) {
	for _, file := range []string{"result.json", spool.SegmentName(0)} {
		for kind, place := range intruders() {
			t.Run(file+"/"+kind, func(t *testing.T) {
				dir := exchangeDir(t)
				exchange := open(t, dir)
				draft := drop(t, exchange, "")
				claim(t, exchange, draft.ID)
				place(t, filepath.Join(dir, "responses", draft.ID, file))
				var printed bytes.Buffer
				if _, ok, err := draft.Result(&printed); ok || err == nil || !strings.Contains(err.Error(), "not a regular file") {
					t.Errorf("Result = %v, %v", ok, err)
				}
				if printed.Len() > 0 {
					t.Errorf("printed %q", printed.String())
				}
			})
		}
	}
}

// TestForeignNames counts names that are no requests, and passes over them.
func TestForeignNames(t *testing.T) {
	dir := exchangeDir(t)
	exchange := open(t, dir)
	draft := drop(t, exchange, "")
	for _, name := range []string{".hidden", "UPPERCASEUPPERCASE", "x", "with space in the name", "abcdefghijklmnop\n"} {
		for _, sub := range []string{"requests", "responses", "cancel"} {
			if err := os.WriteFile(filepath.Join(dir, sub, name), nil, 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
	ids, foreign, err := exchange.Requests()
	if err != nil || foreign != 5 || !cmp.Equal(ids, []string{draft.ID}) {
		t.Errorf("Requests() = %v, %d, %v", ids, foreign, err)
	}
	for method, list := range map[string]func() ([]string, error){"Responses": exchange.Responses, "Cancelled": exchange.Cancelled} {
		if ids, err := list(); err != nil || len(ids) > 0 {
			t.Errorf("%s() = %v, %v", method, ids, err)
		}
	}
}

// TestManyNames wants that a scan reads a bounded number of names.
func TestManyNames(t *testing.T) {
	if _, err := os.Stat("/dev/shm"); err == nil {
		t.Setenv("TMPDIR", "/dev/shm") // so many files take seconds on a disk
	}
	dir := exchangeDir(t)
	exchange := open(t, dir)
	for i := range spool.MaxNames + 10 {
		if err := os.Symlink("x", filepath.Join(dir, "requests", fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	if _, foreign, err := exchange.Requests(); err != nil || foreign != spool.MaxNames {
		t.Errorf("Requests() counts %d, %v, want %d", foreign, err, spool.MaxNames)
	}
}

// TestListIntruders replaces the exchange's own directories.
func TestListIntruders(t *testing.T) {
	for kind, place := range intruders() {
		t.Run(kind, func(t *testing.T) {
			dir := exchangeDir(t)
			exchange := open(t, dir)
			for _, sub := range []string{"requests", "tmp"} {
				if err := os.Remove(filepath.Join(dir, sub)); err != nil {
					t.Fatal(err)
				}
				place(t, filepath.Join(dir, sub))
			}
			if _, _, err := exchange.Requests(); err == nil {
				t.Error("Requests() succeeds")
			}
			if err := exchange.Sweep(0); err == nil {
				t.Error("Sweep() succeeds")
			}
		})
	}
}

// TestDeepTree wants that clearing does not descend into what the other side
// has nested.
func TestDeepTree(t *testing.T) {
	dir := exchangeDir(t)
	exchange := open(t, dir)
	draft := drop(t, exchange, "")
	deep := filepath.Join(dir, "requests", draft.ID, "a", "b", "c")
	if err := os.MkdirAll(deep, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := exchange.Clear(draft.ID); err == nil || !strings.Contains(err.Error(), draft.ID) {
		t.Errorf("Clear = %v, want an error that names the request", err)
	}
	if _, err := os.Lstat(deep); err != nil {
		t.Errorf("Clear descended: %v", err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "requests", draft.ID, "request.json")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file stays: %v", err)
	}
}

// TestSwap replaces a file while it is read, again and again: what is read is
// either the plain file or nothing.
func TestSwap(t *testing.T) {
	for kind, place := range intruders() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			name, bad := filepath.Join(dir, "file"), filepath.Join(dir, "bad")
			place(t, bad)
			if err := os.WriteFile(name, []byte("plain"), 0o666); err != nil {
				t.Fatal(err)
			}
			stop := swap(t, name, bad)
			defer stop()
			var plain, refused int
			for deadline := time.Now().Add(50 * time.Millisecond); time.Now().Before(deadline); {
				data, err := spool.ReadPlain(dir, "file", 100)
				switch {
				case err != nil:
					refused++
				case string(data) == "plain":
					plain++
				default:
					t.Fatalf("read %q", data)
				}
			}
			t.Logf("read %d times, refused %d times", plain, refused)
		})
	}
}

// TestSwapDirectory replaces a directory while it is opened: nothing but the
// directory opens, and a FIFO does not stop the opener.
func TestSwapDirectory(t *testing.T) {
	dir := t.TempDir()
	name, bad := filepath.Join(dir, "sub"), filepath.Join(dir, "bad")
	if err := os.Mkdir(name, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(bad, 0o666); err != nil {
		t.Fatal(err)
	}
	stop := swap(t, name, bad)
	defer stop()
	for deadline := time.Now().Add(200 * time.Millisecond); time.Now().Before(deadline); {
		_ = spool.OpenDir(dir, "sub")
	}
}

// swap exchanges the files at two paths, as fast as it can, until it is
// stopped.
func swap(t *testing.T, a, b string) (stop func()) {
	t.Helper()
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-quit:
				return
			default:
			}
			if err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	return func() { close(quit); <-done }
}
