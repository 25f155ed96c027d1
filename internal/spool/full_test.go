package spool_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"kiln/internal/spool"
)

// TestFullDisk runs its cases on a file system of one megabyte. That is
// mounted in a namespace of a child process, and gone with it.
func TestFullDisk(t *testing.T) {
	if os.Getenv("SPOOL_TEST_TMPFS") == "" {
		runMounted(t)
		return
	}
	for name, test := range map[string]func(t *testing.T, dir string, exchange *spool.Exchange){
		"context":          fullContext,
		"request":          fullRequest,
		"log":              fullLog,
		"log before claim": fullClaim,
		"abandon":          fullAbandon,
		"settings":         fullSettings,
		"check":            fullCheck,
		"inodes":           fullOfInodes,
	} {
		t.Run(name, func(t *testing.T) {
			dir := exchangeDir(t)
			if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m,mode=0777"); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
			test(t, dir, open(t, dir))
		})
	}
}

// runMounted runs this test again in a mount namespace of its own.
func runMounted(t *testing.T) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestFullDisk$", "-test.v")
	cmd.Env = append(os.Environ(), "SPOOL_TEST_TMPFS=1", "GORACE=atexit_sleep_ms=0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSPC) {
		t.Skipf("no mount namespaces here: %v", err)
	}
	if err != nil || !strings.Contains(string(out), "--- PASS: TestFullDisk/log") {
		t.Errorf("%v\n%s", err, out)
	}
}

// fill takes all space of the exchange and returns how it is given back.
func fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	path := filepath.Join(dir, ".filler")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := io.Copy(file, neverEnding{}); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("filling the disk: %v", err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// neverEnding reads as text without end.
type neverEnding struct{}

// Read fills p.
func (neverEnding) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// wantFull wants an error that says what could not be written and why, in one
// line and without the names of temporary files.
func wantFull(t *testing.T, err error, what string) {
	t.Helper()
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), what) {
		t.Fatalf("err = %v, want %q and %v", err, what, syscall.ENOSPC)
	}
	if text := err.Error(); strings.ContainsAny(text, "\n") || strings.Contains(text, "/.") {
		t.Errorf("err = %q", text)
	}
}

// fullContext stages a context that does not fit. Nothing of it stays, and
// the next request works.
func fullContext(t *testing.T, dir string, exchange *spool.Exchange) {
	draft, err := exchange.NewDraft()
	if err != nil {
		t.Fatal(err)
	}
	err = draft.WriteContext(func(w io.Writer) error {
		_, err := io.Copy(w, neverEnding{})
		return err
	})
	wantFull(t, err, "context.tar")
	draft.Remove()
	if paths := left(t, dir); len(paths) > 0 {
		t.Errorf("left behind: %v", paths)
	}
	drop(t, exchange, "fits")
}

// fullRequest drops a request that does not fit.
func fullRequest(t *testing.T, dir string, exchange *spool.Exchange) {
	draft, err := exchange.NewDraft()
	if err != nil {
		t.Fatal(err)
	}
	free := fill(t, dir)
	wantFull(t, draft.Drop(spool.Request{}), "stage request: write request.json")
	draft.Remove()
	free()
	if paths := left(t, dir); len(paths) > 0 {
		t.Errorf("left behind: %v", paths)
	}
}

// fullLog fills the disk under a running step: the writer is told, and the
// shim gets what there is of the log and a result that says so.
func fullLog(t *testing.T, dir string, exchange *spool.Exchange) {
	draft := drop(t, exchange, "")
	c := claim(t, exchange, draft.ID)
	write(t, c.Log, "before")
	if err := c.Log.Flush(); err != nil {
		t.Fatal(err)
	}
	free := fill(t, dir)
	write(t, c.Log, "lost")
	wantFull(t, c.Log.Flush(), "write log: write "+spool.SegmentName(6))
	_, err := c.Log.Write([]byte("later"))
	wantFull(t, err, "write log")
	if err := c.Finish(0); err != nil {
		t.Fatalf("Finish on a full disk: %v", err)
	}
	var printed bytes.Buffer
	result, ok, err := draft.Result(&printed)
	if !ok || err != nil {
		t.Fatalf("Result = %v, %v", ok, err)
	}
	if result.ExitCode != 1 || result.LogBytes != 6 || !strings.Contains(result.Message, "no space left") {
		t.Errorf("result = %+v", result)
	}
	if printed.String() != "before" {
		t.Errorf("printed %q", printed.String())
	}
	draft.Remove()
	if err := exchange.Clear(draft.ID); err != nil {
		t.Error(err)
	}
	free()
	if paths := left(t, dir); len(paths) > 0 {
		t.Errorf("left behind: %v", paths)
	}
}

// fullClaim claims on a full disk: finishing fails, and works once there is
// space.
func fullClaim(t *testing.T, dir string, exchange *spool.Exchange) {
	draft := drop(t, exchange, "")
	free := fill(t, dir)
	c := claim(t, exchange, draft.ID)
	wantFull(t, c.Finish(3), "write result.json")
	free()
	if err := c.Finish(3); err != nil {
		t.Fatal(err)
	}
	if result, ok, err := draft.Result(io.Discard); !ok || err != nil || result.ExitCode != 3 {
		t.Errorf("Result = %+v, %v, %v", result, ok, err)
	}
}

// fullAbandon answers what an earlier run left, in the space that it took.
func fullAbandon(t *testing.T, dir string, exchange *spool.Exchange) {
	draft := drop(t, exchange, "")
	claim(t, exchange, draft.ID).Close()
	fill(t, dir)
	if err := exchange.Abandon(draft.ID, "lost"); err != nil {
		t.Fatal(err)
	}
	if result, ok, err := draft.Result(io.Discard); !ok || err != nil || result.Message != "lost" {
		t.Errorf("Result = %+v, %v, %v", result, ok, err)
	}
}

// fullSettings publishes on a full disk.
func fullSettings(t *testing.T, dir string, exchange *spool.Exchange) {
	fill(t, dir)
	wantFull(t, exchange.Publish(spool.Settings{}), "publish settings")
}
