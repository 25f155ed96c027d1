package spool_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kiln/internal/spool"
)

// wishing returns an exchange in a directory that a test can spoil.
func wishing(t *testing.T) (*spool.Exchange, string) {
	t.Helper()
	dir := t.TempDir()
	exchange, err := spool.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = exchange.Close() })
	if err := exchange.Init(); err != nil {
		t.Fatal(err)
	}
	return exchange, dir
}

// wish drops a wish and returns its id.
func wish(t *testing.T, exchange *spool.Exchange, job string, rank int) string {
	t.Helper()
	draft, err := exchange.NewWish(spool.WishID(job, rank))
	if err != nil {
		t.Fatal(err)
	}
	defer draft.Remove()
	if err := draft.WriteContext(func(w io.Writer) error {
		_, err := io.WriteString(w, "context")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := draft.Wish(spool.Wish{Dockerfile: "Dockerfile", Path: "/a/Dockerfile", Env: map[string]string{"GITHUB_JOB": "x"}}); err != nil {
		t.Fatal(err)
	}
	return draft.ID
}

func wishesOf(t *testing.T, exchange *spool.Exchange) []string {
	t.Helper()
	ids, _, err := exchange.Wishes()
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func TestAWishIsTakenOnce(t *testing.T) {
	exchange, dir := wishing(t)
	id := wish(t, exchange, spool.NewWishJob(), 3)
	if diff := cmp.Diff([]string{id}, wishesOf(t, exchange)); diff != "" {
		t.Fatalf("wishes (-want +got):\n%s", diff)
	}
	taken, err := exchange.TakeWish(id)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	want := spool.Wish{Version: spool.Version, Dockerfile: "Dockerfile", Path: "/a/Dockerfile", Env: map[string]string{"GITHUB_JOB": "x"}}
	if diff := cmp.Diff(want, taken.Wish); diff != "" {
		t.Errorf("wish (-want +got):\n%s", diff)
	}
	context, err := taken.Context()
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(context); err != nil || string(text) != "context" {
		t.Errorf("context %q, %v", text, err)
	}
	if _, err := exchange.TakeWish(id); err == nil {
		t.Error("it was taken twice")
	}
	for _, place := range []string{"wishes", "tmp", "requests"} {
		if left, err := os.ReadDir(filepath.Join(dir, place)); err != nil || len(left) > 0 {
			t.Errorf("%s holds %v, %v", place, left, err)
		}
	}
}

// TestHostileWishes: what is no wish is an error and leaves the exchange.
func TestHostileWishes(t *testing.T) {
	for name, spoil := range map[string]func(dir string) error{
		"no message": func(dir string) error { return os.Remove(filepath.Join(dir, "wish.json")) },
		"no context": func(dir string) error { return os.Remove(filepath.Join(dir, "context.tar")) },
		"no JSON":    func(dir string) error { return os.WriteFile(filepath.Join(dir, "wish.json"), []byte("{"), 0o666) },
		"large":      func(dir string) error { return os.Truncate(filepath.Join(dir, "wish.json"), 1<<30) },
		"other version": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "wish.json"), []byte(`{"version":2}`), 0o666)
		},
		"a FIFO": func(dir string) error {
			path := filepath.Join(dir, "context.tar")
			if err := os.Remove(path); err != nil {
				return err
			}
			return syscall.Mkfifo(path, 0o666)
		},
		"a link": func(dir string) error {
			path := filepath.Join(dir, "context.tar")
			if err := os.Remove(path); err != nil {
				return err
			}
			return os.Symlink("/etc/passwd", path)
		},
	} {
		t.Run(name, func(t *testing.T) {
			exchange, dir := wishing(t)
			id := wish(t, exchange, spool.NewWishJob(), 0)
			if err := spoil(filepath.Join(dir, "wishes", id)); err != nil {
				t.Fatal(err)
			}
			if taken, err := exchange.TakeWish(id); err == nil {
				t.Errorf("taken: %+v", taken.Wish)
			}
			if left := wishesOf(t, exchange); len(left) > 0 {
				t.Errorf("left %v", left)
			}
		})
	}
}

// TestADirectoryThatStays is no wish either: it would be taken again and again.
func TestADirectoryThatStays(t *testing.T) {
	exchange, dir := wishing(t)
	id := wish(t, exchange, spool.NewWishJob(), 0)
	if err := os.MkdirAll(filepath.Join(dir, "wishes", id, "a", "b"), 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := exchange.TakeWish(id); err == nil {
		t.Error("it was taken")
	}
}

// TestABeginningOfAJob is seen among the wishes, and is none.
func TestABeginningOfAJob(t *testing.T) {
	exchange, dir := wishing(t)
	job := spool.NewWishJob()
	if err := exchange.BeginJob(job); err != nil {
		t.Fatal(err)
	}
	ids := wishesOf(t, exchange)
	if len(ids) != 1 || !spool.JobBegins(ids[0]) {
		t.Fatalf("the exchange has %v", ids)
	}
	if of, ok := spool.WishJob(ids[0]); !ok || of != job {
		t.Errorf("it is of %q, %v", of, ok)
	}
	if info, err := os.Stat(filepath.Join(dir, "wishes", ids[0])); err != nil || info.Mode().Perm() != 0o777 {
		t.Errorf("%v, %v", info, err)
	}
	if _, _, ok := spool.ParseWishID(ids[0]); ok {
		t.Error("it is a wish")
	}
	if err := exchange.RemoveWish(ids[0]); err != nil || len(wishesOf(t, exchange)) > 0 {
		t.Errorf("it stays, %v", err)
	}
	if err := exchange.BeginJob(spool.WishID(job, 0)); err == nil {
		t.Error("a wish is a job")
	}
}

// TestWishJob of ids in the exchange.
func TestWishJob(t *testing.T) {
	job := spool.NewWishJob()
	for id, want := range map[string]string{
		spool.WishID(job, 0): job, spool.WishID(job, 19): job, job: job,
		spool.WishID(job, 20): "", job + "1": "", job[1:]: "", strings.ToUpper(job): "", "": "",
	} {
		if got, ok := spool.WishJob(id); got != want || ok != (want != "") {
			t.Errorf("%q is of %q, %v, want %q", id, got, ok, want)
		}
	}
}

func TestWishIDs(t *testing.T) {
	job := spool.NewWishJob()
	for id, want := range map[string]int{
		spool.WishID(job, 0): 0, spool.WishID(job, 19): 19,
		spool.WishID(job, 20): -1, job + "1": -1, job + "+1": -1, spool.NewID()[:20] + "01": -1, "": -1, strings.Repeat("0", 40): -1,
	} {
		of, rank, ok := spool.ParseWishID(id)
		if !ok {
			rank = -1
		}
		if rank != want || ok && of != job {
			t.Errorf("%q is rank %d of %q, want %d", id, rank, of, want)
		}
	}
}
