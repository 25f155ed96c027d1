package spool_test

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kiln/internal/spool"
)

// TestRoundTrip follows one request from draft to cleared exchange.
func TestRoundTrip(t *testing.T) {
	dir := exchangeDir(t)
	exchange := open(t, dir)
	if !exchange.Served() {
		t.Error("Served() = false after Init")
	}
	draft := drop(t, exchange, "the context")

	ids, foreign, err := exchange.Requests()
	if err != nil || foreign != 0 || !cmp.Equal(ids, []string{draft.ID}) {
		t.Fatalf("Requests() = %v, %d, %v, want %q alone", ids, foreign, err, draft.ID)
	}
	if draft.Claimed() {
		t.Error("Claimed() = true before Claim")
	}
	c := claim(t, exchange, draft.ID)
	if c.Bad != nil {
		t.Fatal(c.Bad)
	}
	want := spool.Request{Version: spool.Version, Dockerfile: "Dockerfile", Args: []byte(`{"a":"<b>"}`)}
	if diff := cmp.Diff(want, c.Request); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	if !draft.Claimed() {
		t.Error("Claimed() = false after Claim")
	}
	file, err := c.Context()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if data, err := io.ReadAll(file); err != nil || string(data) != "the context" {
		t.Errorf("context = %q, %v", data, err)
	}

	var printed bytes.Buffer
	if _, ok, err := draft.Result(&printed); ok || err != nil {
		t.Fatalf("Result before Finish = %v, %v", ok, err)
	}
	if _, err := io.WriteString(c.Log, "one\ntwo"); err != nil {
		t.Fatal(err)
	}
	if got := c.Log.Bytes(); got != 7 {
		t.Errorf("Log.Bytes() = %d, want 7", got)
	}
	if err := c.Finish(42); err != nil {
		t.Fatal(err)
	}
	result, ok, err := draft.Result(&printed)
	if !ok || err != nil {
		t.Fatalf("Result = %v, %v", ok, err)
	}
	if diff := cmp.Diff(spool.Result{Version: spool.Version, ExitCode: 42, LogBytes: 7}, result); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	if printed.String() != "one\ntwo" {
		t.Errorf("printed %q", printed.String())
	}

	if c.Vanished() {
		t.Error("Vanished() = true while the shim is there")
	}
	draft.Remove()
	if !c.Vanished() {
		t.Error("Vanished() = false after Remove")
	}
	if err := exchange.Clear(draft.ID); err != nil {
		t.Fatal(err)
	}
	if paths := left(t, dir); len(paths) > 0 {
		t.Errorf("left behind: %v", paths)
	}
}

// TestCancel says it twice and sees it once.
func TestCancel(t *testing.T) {
	dir := exchangeDir(t)
	exchange := open(t, dir)
	draft := drop(t, exchange, "")
	for range 2 {
		if err := draft.Cancel(); err != nil {
			t.Fatal(err)
		}
	}
	ids, err := exchange.Cancelled()
	if err != nil || !cmp.Equal(ids, []string{draft.ID}) {
		t.Errorf("Cancelled() = %v, %v", ids, err)
	}
	draft.Remove()
	draft.Remove()
	if paths := left(t, dir); len(paths) > 0 {
		t.Errorf("left behind: %v", paths)
	}
}

// TestOpenMissing wants an error that names the directory.
func TestOpenMissing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "absent")
	if _, err := spool.Open(dir); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("Open = %v, want an error that names %s", err, dir)
	}
}

// TestNotServed stages into an exchange that no daemon has made.
func TestNotServed(t *testing.T) {
	exchange, err := spool.Open(exchangeDir(t))
	if err != nil {
		t.Fatal(err)
	}
	defer exchange.Close()
	if exchange.Served() || exchange.DaemonAlive() {
		t.Error("an empty directory counts as served")
	}
	if _, err := exchange.NewDraft(); err == nil {
		t.Error("NewDraft succeeds without the exchange's directories")
	}
}

// TestInit makes the directories anew, opens those of an interrupted start
// and refuses what is none.
func TestInit(t *testing.T) {
	t.Run("again", func(t *testing.T) {
		dir := exchangeDir(t)
		exchange := open(t, dir)
		draft := drop(t, exchange, "")
		if err := os.Chmod(filepath.Join(dir, "cancel"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := exchange.Init(); err != nil {
			t.Fatal(err)
		}
		if ids, _, err := exchange.Requests(); err != nil || !cmp.Equal(ids, []string{draft.ID}) {
			t.Errorf("Requests() = %v, %v", ids, err)
		}
		checkModes(t, dir, map[string]fs.FileMode{"cancel": 0o777})
	})
	for name, place := range intruders() {
		t.Run(name, func(t *testing.T) {
			dir := exchangeDir(t)
			place(t, filepath.Join(dir, "requests"))
			exchange, err := spool.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer exchange.Close()
			if exchange.Served() {
				t.Error("Served() = true")
			}
			if err := exchange.Init(); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "requests")) {
				t.Errorf("Init = %v, want an error that names the directory", err)
			}
		})
	}
}

// TestValidID knows ids from other names.
func TestValidID(t *testing.T) {
	for range 100 {
		if id := spool.NewID(); !spool.ValidID(id) {
			t.Fatalf("NewID() = %q, which is not valid", id)
		}
	}
	bad := []string{
		"", ".", "..", "short", strings.Repeat("a", 15), strings.Repeat("a", 41),
		"ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnop/", "../abcdefghijklmnop",
		"abcdefghijklmno\n", "abcdefghijklmno-", "abcdefghijklmnoé", ".abcdefghijklmnopq",
	}
	for _, id := range bad {
		if spool.ValidID(id) {
			t.Errorf("ValidID(%q) = true", id)
		}
	}
}

// TestInvalidID wants that no method takes an id for a path.
func TestInvalidID(t *testing.T) {
	dir := exchangeDir(t)
	exchange := open(t, dir)
	state, err := spool.OpenState(filepath.Join(dir, "state"))
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"", ".", "..", "../requests", "a/b"} {
		_, claimErr := exchange.Claim(id, 1)
		for method, err := range map[string]error{
			"Claim":   claimErr,
			"Clear":   exchange.Clear(id),
			"Abandon": exchange.Abandon(id, "gone"),
			"Accept":  state.Accept(id),
			"Forget":  state.Forget(id),
		} {
			if err == nil {
				t.Errorf("%s(%q) succeeds", method, id)
			}
		}
	}
	if !exchange.Served() {
		t.Error("the exchange's directories are gone")
	}
}

// TestRequestLimit refuses to drop what the daemon would not read.
func TestRequestLimit(t *testing.T) {
	dir := exchangeDir(t)
	exchange := open(t, dir)
	draft, err := exchange.NewDraft()
	if err != nil {
		t.Fatal(err)
	}
	args := bytes.Repeat([]byte("<"), spool.MaxRequestBytes)
	args[0], args[len(args)-1] = '"', '"'
	if err := draft.Drop(spool.Request{Args: args}); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("Drop = %v, want an error about the size", err)
	}
	if err := draft.Drop(spool.Request{Args: append(args[:len(args)-1000:len(args)-1000], '"')}); err != nil {
		t.Errorf("Drop of a request within the limit: %v", err)
	}
	draft.Remove()
	if paths := left(t, dir); len(paths) > 0 {
		t.Errorf("left behind: %v", paths)
	}
}

// TestSettings publishes what shims should know, and reads nonsense as none.
func TestSettings(t *testing.T) {
	dir := exchangeDir(t)
	exchange := open(t, dir)
	if got := exchange.Settings(); got != (spool.Settings{}) {
		t.Errorf("Settings() = %+v before Publish", got)
	}
	want := spool.Settings{ContextMaxBytes: 1 << 30, ContextMaxEntries: 5}
	if err := exchange.Publish(want); err != nil {
		t.Fatal(err)
	}
	if got := exchange.Settings(); got != want {
		t.Errorf("Settings() = %+v, want %+v", got, want)
	}
	if err := os.WriteFile(filepath.Join(dir, "settings.json"), []byte("{"), 0o666); err != nil {
		t.Fatal(err)
	}
	if got := exchange.Settings(); got != (spool.Settings{}) {
		t.Errorf("Settings() = %+v from broken JSON", got)
	}
}

// checkModes compares the permissions of names below dir.
func checkModes(t *testing.T, dir string, want map[string]fs.FileMode) {
	t.Helper()
	for name, mode := range want {
		info, err := os.Lstat(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
		} else if info.Mode().Perm() != mode {
			t.Errorf("%s has mode %o, want %o", name, info.Mode().Perm(), mode)
		}
	}
}

// TestModes wants every file open to both sides under the tightest umask.
func TestModes(t *testing.T) {
	dir := exchangeDir(t)
	daemon := start(t, "daemon", dir, withUmask)
	daemon.line(t)
	shim := start(t, "hold", dir, withUmask)
	id := shim.line(t)
	checkModes(t, dir, map[string]fs.FileMode{
		"tmp": 0o777, "requests": 0o777, "cancel": 0o777, "responses": 0o777, "wishes": 0o777,
		"daemon.lock": 0o666, "settings.json": 0o666,
		"requests/" + id: 0o777, "requests/" + id + "/request.json": 0o666, "requests/" + id + "/lock": 0o666,
	})
	shim.wait(t)
	_, _ = daemon.cmd.Process.Kill(), daemon.cmd.Wait() // it misses the context and may have ended
}

// withUmask makes a process create its files for itself alone.
func withUmask(cmd *exec.Cmd) { cmd.Env = append(cmd.Env, "SPOOL_TEST_UMASK=077") }

// as makes a process run as a user without rights.
func as(uid uint32) func(*exec.Cmd) {
	return func(cmd *exec.Cmd) {
		withUmask(cmd)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
}

// TestTwoUsers runs shim and daemon as different users with closed umasks:
// each must be able to do its part, and nothing stays.
func TestTwoUsers(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to run processes as other users")
	}
	self := sharedBinary(t) // before anything forks: a file that is open for writing cannot be executed
	for _, test := range []struct {
		name         string
		shim, daemon uint32
	}{
		{"runner and nonroot", 1001, 65532},
		{"root runner", 0, 65532},
		{"root daemon", 1001, 0},
		{"one user", 1001, 1001},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := exchangeDir(t)
			run := func(uid uint32) func(*exec.Cmd) {
				return func(cmd *exec.Cmd) { as(uid)(cmd); cmd.Path, cmd.Dir = self, "/" }
			}
			daemon := start(t, "daemon", dir, run(test.daemon))
			daemon.line(t)
			shim := start(t, "shim", dir, run(test.shim))
			for _, want := range []string{"context seen", "exit 3"} {
				if got := shim.line(t); got != want {
					t.Errorf("shim prints %q, want %q", got, want)
				}
			}
			shim.wait(t)
			daemon.wait(t)
			if paths := left(t, dir); len(paths) > 0 {
				t.Errorf("left behind: %v", paths)
			}
		})
	}
}

// sharedBinary copies the test binary to where every user may execute it.
func sharedBinary(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(exchangeDir(t), "spool.test")
	// Not written by this process: a descriptor that is open for writing would be
	// inherited by what another test starts meanwhile, and exec refuses the file as busy.
	if out, err := exec.Command("cp", self, path).CombinedOutput(); err != nil {
		t.Fatalf("copy test binary: %v: %s", err, out)
	}
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestForeignOwner clears what another user's closed directory holds: it
// cannot, says so, and comes back.
func TestForeignOwner(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to run a process as another user")
	}
	dir := exchangeDir(t)
	exchange := open(t, dir)
	id := spool.NewID()
	request := filepath.Join(dir, "requests", id)
	if err := os.Mkdir(request, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(request, "lock"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	self := sharedBinary(t)
	p := start(t, "clear", dir, func(cmd *exec.Cmd) {
		as(65532)(cmd)
		cmd.Path, cmd.Dir = self, "/"
		cmd.Env = append(cmd.Env, "SPOOL_TEST_ID="+id)
	})
	if got := p.line(t); !strings.Contains(got, "permission denied") || !strings.Contains(got, id) {
		t.Errorf("Clear = %q, want permission denied for %s", got, id)
	}
	p.wait(t)
	if ids, _, err := exchange.Requests(); err != nil || !cmp.Equal(ids, []string{id}) {
		t.Errorf("Requests() = %v, %v", ids, err)
	}
	if paths, err := os.ReadDir(filepath.Join(dir, "responses")); err != nil || len(paths) > 0 {
		t.Errorf("answers left: %v, %v", paths, err)
	}
}

// roleClear answers and clears a request, and prints what stays.
func roleClear(dir string) error {
	exchange, err := spool.Open(dir)
	if err != nil {
		return err
	}
	id := os.Getenv("SPOOL_TEST_ID")
	c, err := exchange.Claim(id, 1)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Finish(1); err != nil {
		return err
	}
	text := "cleared"
	if err := exchange.Clear(id); err != nil {
		text = strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	_, err = os.Stdout.WriteString(text + "\n")
	return err
}
