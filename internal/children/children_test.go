package children_test

import (
	"errors"
	"syscall"
	"testing"

	"kiln/internal/children"
)

// shell starts a script with no streams.
func shell(t *testing.T, set *children.Set, script string) *children.Child {
	t.Helper()
	child, err := set.Start("/bin/sh", []string{"sh", "-c", script}, &syscall.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	return child
}

func TestWait(t *testing.T) {
	set := children.Own()
	defer set.Release()
	var all []*children.Child
	for range 20 { // as many as end at the same time
		all = append(all, shell(t, set, "exit 7"))
	}
	for _, child := range all {
		if status := child.Wait(); status.ExitStatus() != 7 {
			t.Errorf("%v", status)
		}
	}
	child := shell(t, set, "kill -9 $$")
	if status := child.Wait(); status.Signal() != syscall.SIGKILL {
		t.Errorf("%v", status)
	}
	if _, err := set.Start("/no/program", []string{"x"}, &syscall.ProcAttr{}); !errors.Is(err, syscall.ENOENT) {
		t.Error(err)
	}
}

func TestSignal(t *testing.T) {
	set := children.Own()
	defer set.Release()
	child := shell(t, set, "while :; do :; done")
	var pid int
	if !child.Alive(func(got int) { pid = got }) || pid <= 0 {
		t.Fatal("it runs, but is not alive")
	}
	if err := child.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if status := child.Wait(); status.Signal() != syscall.SIGTERM {
		t.Errorf("%v", status)
	}
	if child.Alive(func(int) { t.Error("called for a child that is reaped") }) {
		t.Error("alive after its end")
	}
	if err := child.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("a signal after the end: %v", err)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the process is not reaped: %v", err)
	}
}
