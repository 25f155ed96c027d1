package spool_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kiln/internal/spool"
)

// patience bounds what a test waits for. It is never reached when all is well.
const patience = 20 * time.Second

// TestMain runs the tests, or one side of the exchange as a process of its
// own when a test asks for one.
func TestMain(m *testing.M) {
	if role, ok := roles[os.Getenv("SPOOL_TEST_ROLE")]; ok {
		if os.Getenv("SPOOL_TEST_UMASK") != "" {
			syscall.Umask(0o077)
		}
		if err := role(os.Getenv("SPOOL_TEST_DIR")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// roles are what the test binary can be instead of tests. Each prints what it
// has reached, one word to a line.
var roles = map[string]func(dir string) error{
	"hold":    roleHold,
	"shim":    roleShim,
	"daemon":  roleDaemon,
	"lock":    roleLock,
	"clear":   roleClear,
	"starve":  roleStarve,
	"unwatch": roleUnwatch,
}

// roleHold drops a request and holds it until its input ends.
func roleHold(dir string) error {
	exchange, err := spool.Open(dir)
	if err != nil {
		return err
	}
	draft, err := exchange.NewDraft()
	if err != nil {
		return err
	}
	if err := draft.Drop(spool.Request{}); err != nil {
		return err
	}
	fmt.Println(draft.ID)
	_, err = io.Copy(io.Discard, os.Stdin)
	draft.Remove()
	return err
}

// roleShim carries one request through and prints its log and exit code.
func roleShim(dir string) error {
	exchange, err := spool.Open(dir)
	if err != nil {
		return err
	}
	draft, err := exchange.NewDraft()
	if err != nil {
		return err
	}
	defer draft.Remove()
	err = draft.WriteContext(func(w io.Writer) error {
		_, err := io.WriteString(w, "context")
		return err
	})
	if err != nil {
		return err
	}
	if err := draft.Drop(spool.Request{Dockerfile: "Dockerfile"}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	result, err := await(ctx, exchange, draft, os.Stdout)
	if err != nil {
		return err
	}
	fmt.Println("exit", result.ExitCode)
	return nil
}

// await prints the log of draft to w until the result is there.
func await(ctx context.Context, exchange *spool.Exchange, draft *spool.Draft, w io.Writer) (spool.Result, error) {
	watcher := spool.Watch(ctx, exchange.ResponsesDir())
	watched := false
	for {
		if !watched && draft.Claimed() {
			watched = watcher.Add(exchange.ResponseDir(draft.ID))
		}
		result, ok, err := draft.Result(w)
		if ok || err != nil {
			return result, err
		}
		select {
		case <-ctx.Done():
			return spool.Result{}, context.Cause(ctx)
		case <-watcher.C:
		}
	}
}

// roleDaemon serves the exchange for one request.
func roleDaemon(dir string) error {
	exchange, err := spool.Open(dir)
	if err != nil {
		return err
	}
	if err := exchange.Init(); err != nil {
		return err
	}
	lock, err := exchange.LockDaemon()
	if err != nil {
		return err
	}
	defer func() { _ = lock.Release() }()
	if err := exchange.Publish(spool.Settings{ContextMaxBytes: 7}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	watcher := spool.Watch(ctx, exchange.WatchDirs()...)
	fmt.Println("serving")
	var ids []string
	for len(ids) == 0 {
		if err := next(ctx, watcher); err != nil {
			return err
		}
		if ids, _, err = exchange.Requests(); err != nil {
			return err
		}
	}
	return answer(ctx, exchange, watcher, ids[0])
}

// answer serves one request and waits until its shim has gone.
func answer(ctx context.Context, exchange *spool.Exchange, watcher *spool.Watcher, id string) error {
	claim, err := exchange.Claim(id, 1<<20)
	if err != nil {
		return err
	}
	defer claim.Close()
	claim.Load()
	if claim.Bad != nil {
		return claim.Bad
	}
	file, err := claim.Context()
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := io.Copy(claim.Log, file); err != nil {
		return err
	}
	if _, err := io.WriteString(claim.Log, " seen\n"); err != nil {
		return err
	}
	if err := claim.Finish(3); err != nil {
		return err
	}
	for !claim.Vanished() {
		if err := next(ctx, watcher); err != nil {
			return err
		}
	}
	return exchange.Clear(id)
}

// next waits for the watcher.
func next(ctx context.Context, watcher *spool.Watcher) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-watcher.C:
		return nil
	}
}

// roleLock holds the daemon's lock until its input ends.
func roleLock(dir string) error {
	exchange, err := spool.Open(dir)
	if err != nil {
		return err
	}
	lock, err := exchange.LockDaemon()
	if err != nil {
		return err
	}
	fmt.Println("locked")
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, lock.Release())
}

// process is the test binary in a role.
type process struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Scanner
	stderr strings.Builder
}

// start runs the role on dir; configure may change the command before.
func start(t *testing.T, role, dir string, configure func(*exec.Cmd)) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.CommandContext(t.Context(), self)}
	p.cmd.Env = append(os.Environ(), "SPOOL_TEST_ROLE="+role, "SPOOL_TEST_DIR="+dir,
		"GORACE=atexit_sleep_ms=0") // the race detector would wait a second at the end
	p.cmd.Stderr = &p.stderr
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdout = bufio.NewScanner(stdout)
	if configure != nil {
		configure(p.cmd)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", role, err)
	}
	return p
}

// line returns the next line that the process prints.
func (p *process) line(t *testing.T) string {
	t.Helper()
	if !p.stdout.Scan() {
		_ = p.cmd.Wait()
		t.Fatalf("process ended: %s", p.stderr.String())
	}
	return p.stdout.Text()
}

// wait waits for the end of the process, which must be a good one.
func (p *process) wait(t *testing.T) {
	t.Helper()
	_ = p.stdin.Close()
	for p.stdout.Scan() {
		t.Logf("process prints %q", p.stdout.Text())
	}
	if err := p.cmd.Wait(); err != nil {
		t.Fatalf("process: %v\n%s", err, p.stderr.String())
	}
}

// kill ends the process as the kernel ends one without memory.
func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	err := p.cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.Success() {
		t.Fatalf("killed process: %v", err)
	}
}

// exchangeDir makes a directory as the kubelet makes an emptyDir: open to
// every user.
func exchangeDir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for path, mode := range map[string]os.FileMode{filepath.Dir(dir): 0o755, dir: 0o777} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// open opens the exchange dir and makes its directories.
func open(t testing.TB, dir string) *spool.Exchange {
	t.Helper()
	exchange, err := spool.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = exchange.Close() })
	if err := exchange.Init(); err != nil {
		t.Fatal(err)
	}
	return exchange
}

// drop stages and drops a request.
func drop(t testing.TB, exchange *spool.Exchange, context string) *spool.Draft {
	t.Helper()
	draft, err := exchange.NewDraft()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(draft.Remove)
	err = draft.WriteContext(func(w io.Writer) error {
		_, err := io.WriteString(w, context)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := draft.Drop(spool.Request{Dockerfile: "Dockerfile", Args: []byte(`{"a":"<b>"}`)}); err != nil {
		t.Fatal(err)
	}
	return draft
}

// claim claims the request id.
func claim(t testing.TB, exchange *spool.Exchange, id string) *spool.Claim {
	t.Helper()
	c, err := exchange.Claim(id, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	c.Load()
	return c
}

// left returns the paths of the files and directories below dir that are not
// the exchange's own.
func left(t testing.TB, dir string) []string {
	t.Helper()
	own := []string{".", "tmp", "requests", "cancel", "responses", "wishes", "daemon.lock", "settings.json"}
	var paths []string
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if !slices.Contains(own, rel) {
			paths = append(paths, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}
