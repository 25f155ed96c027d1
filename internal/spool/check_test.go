package spool_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"kiln/internal/spool"
)

// TestCheck makes what keeps a daemon from seeing or answering a request, and wants
// it mended or told.
func TestCheck(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil func(t *testing.T, dir string)
		says  string
	}{
		"nothing":             {func(*testing.T, string) {}, ""},
		"a directory removed": {func(t *testing.T, dir string) { check(t, os.Remove(filepath.Join(dir, "requests"))) }, ""},
		"modes":               {func(t *testing.T, dir string) { check(t, os.Chmod(filepath.Join(dir, "cancel"), 0)) }, ""},
		"a file in the place": {func(t *testing.T, dir string) {
			check(t, os.Remove(filepath.Join(dir, "requests")))
			check(t, os.WriteFile(filepath.Join(dir, "requests"), nil, 0o600))
		}, ""},
		"a link in the place": {func(t *testing.T, dir string) {
			check(t, os.Remove(filepath.Join(dir, "responses")))
			check(t, os.Symlink("/", filepath.Join(dir, "responses")))
		}, ""},
		"replaced": {func(t *testing.T, dir string) {
			check(t, os.Rename(dir, dir+".old"))
			check(t, os.Mkdir(dir, 0o777))
		}, "was replaced by another directory"},
		"removed": {func(t *testing.T, dir string) { check(t, os.RemoveAll(dir)) }, "is not there"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(exchangeDir(t), "x")
			check(t, os.Mkdir(dir, 0o777))
			exchange := open(t, dir)
			check(t, exchange.Init())
			tt.spoil(t, dir)
			err := exchange.Check()
			if (err != nil) != (tt.says != "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Fatalf("Check = %v, want %q", err, tt.says)
			}
			if tt.says == "" {
				for _, sub := range []string{"requests", "cancel", "responses", "wishes", "tmp"} {
					if info, err := os.Stat(filepath.Join(dir, sub)); err != nil || info.Mode().Perm() != 0o777 {
						t.Errorf("%s: %v, %v", sub, info, err)
					}
				}
			}
		})
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestCheckCrowd: names that are no request's are removed once they are old, more
// than a look takes are told.
func TestCheckCrowd(t *testing.T) {
	if _, err := os.Stat("/dev/shm"); err == nil {
		t.Setenv("TMPDIR", "/dev/shm") // so many files take seconds on a disk
	}
	dir := exchangeDir(t)
	exchange := open(t, dir)
	draft := drop(t, exchange, "")
	for i := range spool.MaxNames + 10 {
		check(t, os.Symlink("x", filepath.Join(dir, "requests", fmt.Sprint(i))))
	}
	const behind = "what lies behind them is not seen"
	if err := spool.CheckOlder(exchange, time.Hour); err == nil || !strings.Contains(err.Error(), behind) {
		t.Errorf("Check = %v", err)
	}
	if _, foreign, _ := exchange.Requests(); foreign < spool.MaxNames-1 {
		t.Errorf("%d names are left, and all are younger than what is removed", foreign)
	}
	if err := exchange.Check(); err == nil || !strings.Contains(err.Error(), behind) { // it may find them old
		t.Errorf("Check = %v", err)
	}
	for range 2 { // a look takes a bounded number of them
		_ = spool.CheckOlder(exchange, 0)
	}
	if err := exchange.Check(); err != nil {
		t.Errorf("Check = %v", err)
	}
	if ids, foreign, err := exchange.Requests(); err != nil || foreign > 0 || len(ids) != 1 || ids[0] != draft.ID {
		t.Errorf("Requests = %v, %d foreign, %v", ids, foreign, err)
	}
}

// fullCheck fills the disk: that is told, and is over with the file.
func fullCheck(t *testing.T, dir string, exchange *spool.Exchange) {
	check(t, exchange.Init())
	check(t, exchange.Check())
	fill(t, dir)
	if err := exchange.Check(); err == nil || !strings.Contains(err.Error(), syscall.ENOSPC.Error()) {
		t.Errorf("Check = %v on a full disk", err)
	}
}

// fullOfInodes uses up the inodes of the file system, not its bytes.
func fullOfInodes(t *testing.T, dir string, exchange *spool.Exchange) {
	check(t, exchange.Init())
	check(t, syscall.Mount("", dir, "", syscall.MS_REMOUNT, "nr_inodes=100"))
	for i := range 200 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o600); err != nil {
			break
		}
	}
	if err := exchange.Check(); err == nil || !strings.Contains(err.Error(), syscall.ENOSPC.Error()) {
		t.Errorf("Check = %v without inodes", err)
	}
}
