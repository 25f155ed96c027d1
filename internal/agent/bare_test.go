package agent_test

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"kiln/internal/agent"
)

// stepArgument makes a process of this test's program a step of a container in
// which there is no other program.
const stepArgument = "test-step"

// bareStep does what its argument says, and exits.
func bareStep(what string) {
	switch what {
	case "leave": // a child that outlives its parent, and says when it has ended
		child, err := os.StartProcess("/proc/self/exe", []string{"x", stepArgument, "short"}, &os.ProcAttr{})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(child.Pid)
	case "short":
	case "processes": // which processes there are
		entries, err := os.ReadDir("/proc")
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		for _, entry := range entries {
			if name := entry.Name(); name[0] >= '1' && name[0] <= '9' {
				fmt.Println(name)
			}
		}
	case "write": // whether the root can be written
		fmt.Println(os.WriteFile("/x", nil, 0o600))
	}
	os.Exit(0)
}

// enterBareRoot makes a directory the process's root, read-only but for the
// directory door in it.
func enterBareRoot(root string) error {
	if root == "" {
		return nil
	}
	door := filepath.Join(root, "door")
	return errors.Join(
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount(root, root, "", unix.MS_BIND, ""),
		unix.Mount(door, door, "", unix.MS_BIND, ""),
		unix.Mount("proc", filepath.Join(root, "proc"), "proc", 0, ""),
		unix.Mount("", root, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""),
		unix.Chroot(root),
		os.Chdir("/"),
	)
}

// startBare starts an agent as the first process of a namespace, with a root
// that has this program in it and nothing else.
func startBare(t *testing.T) *container {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"proc", "door"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	socket := filepath.Join(root, "door", "s")
	cmd := own(t, "/door/s")
	binary, err := elf.Open(cmd.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer binary.Close()
	if binary.Section(".interp") != nil {
		t.Skip("this test's program needs a loader, as with the race detector")
	}
	program, err := os.ReadFile(cmd.Path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "agent"), program, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(cmd.Env, bareRoot+"="+root)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	try := exec.CommandContext(t.Context(), cmd.Path, stepArgument, "short")
	try.SysProcAttr = cmd.SysProcAttr
	if err := try.Run(); err != nil {
		t.Skipf("this machine allows no namespaces: %v", err)
	}
	return startAs(t, cmd, socket)
}

// As the first process of a container without shell, /tmp and writable root, the
// agent serves steps, reaps what they leave, and ends by the container's signal.
func TestFirstProcess(t *testing.T) {
	c := startBare(t)
	step := func(what string) agent.Call {
		return agent.Call{Argv: []string{"/agent", stepArgument, what}}
	}
	if outcome, said := run(t, c.unix, step("write")); outcome.Code != 0 || !strings.Contains(said, "read-only file system") {
		t.Errorf("the root: %+v, %q", outcome, said)
	}
	for range 5 {
		if outcome, said := run(t, c.unix, step("leave")); outcome.Code != 0 {
			t.Errorf("%+v, %q", outcome, said)
		}
	}
	// The agent, and the step that looks.
	eventually(t, "nothing is left of the steps", func() bool {
		_, said := run(t, c.unix, step("processes"))
		return len(strings.Fields(said)) == 2 && strings.HasPrefix(said, "1\n")
	})
	outcome, _ := run(t, c.unix, agent.Call{Argv: []string{"sh", "-c", "true"}})
	if outcome.Code != 127 || !strings.HasSuffix(outcome.NotStarted, `exec: "sh": executable file not found in $PATH`) {
		t.Errorf("%+v", outcome)
	}
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Wait(); err != nil {
		t.Errorf("the agent ended with %v", err)
	}
}

// An agent killed as a container is killed is gone for its clients at once.
func TestContainerGone(t *testing.T) {
	for name, door := range map[string]func(*container) agent.Door{
		"unix": func(c *container) agent.Door { return c.unix },
		"tcp":  func(c *container) agent.Door { return c.tcp },
	} {
		t.Run(name, func(t *testing.T) {
			c := start(t)
			r := begin(t, door(c), "echo $$; exec sleep 60")
			pid := r.pids(t)[0]
			defer func() { _ = syscall.Kill(pid, syscall.SIGKILL) }()
			if err := c.cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			if <-r.ended; !errors.Is(r.err, agent.ErrGone) {
				t.Errorf("%+v, %v", r.outcome, r.err)
			}
			_ = c.cmd.Wait()
			_, err := door(c).Run(t.Context(), agent.Step{Call: sh("true"), Output: io.Discard})
			if !errors.Is(err, agent.ErrShut) {
				t.Errorf("a later step: %v", err)
			}
		})
	}
}
