package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// mayMount is the variable that tells the child of TestVolumes from its parent.
const mayMount = "KILN_TEST_MOUNTS"

// TestVolumes runs its scripts in a mount namespace of their own, in which their work
// volume, $VOLUME, is a file system of 64 MiB.
func TestVolumes(t *testing.T) {
	if os.Getenv(mayMount) == "" {
		runMounted(t)
		return
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/volume",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"message": cmdMessage, "state": cmdState, "mount": cmdMount, "fill": cmdFill,
		},
		Setup: func(env *testscript.Env) error {
			exchange := filepath.Join(env.WorkDir, "exchange")
			env.Setenv("KILN_EXCHANGE", exchange)
			env.Setenv("KILN_DAEMON_GRACE", "30s")
			volume := filepath.Join(env.WorkDir, "volume")
			env.Setenv("VOLUME", volume)
			return errors.Join(os.Mkdir(exchange, 0o777), os.Mkdir(volume, 0o777))
		},
	})
}

// runMounted runs TestVolumes in a namespace in which it may mount.
func runMounted(t *testing.T) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestVolumes$", "-test.v")
	cmd.Env = append(os.Environ(), mayMount+"=1", "GORACE=atexit_sleep_ms=0")
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
	if err != nil || strings.Count(string(out), "--- PASS: TestVolumes/") != 2 {
		t.Errorf("%v\n%s", err, out)
	}
}

// cmdMount makes the volume anew: mount [OPTION].
func cmdMount(ts *testscript.TestScript, _ bool, args []string) {
	options := strings.Join(append([]string{"size=64m,mode=0777"}, args...), ",")
	flags := uintptr(0)
	if data, ok := strings.CutSuffix(options, ",noexec"); ok {
		options, flags = data, syscall.MS_NOEXEC
	}
	volume := ts.Getenv("VOLUME")
	ts.Check(syscall.Mount("tmpfs", volume, "tmpfs", flags, options))
	ts.Defer(func() { _ = syscall.Unmount(volume, syscall.MNT_DETACH) })
}

// cmdFill takes the volume's space but for a number of bytes: fill [LEFT].
func cmdFill(ts *testscript.TestScript, _ bool, args []string) {
	file, err := os.Create(filepath.Join(ts.Getenv("VOLUME"), "filler"))
	ts.Check(err)
	defer file.Close()
	taken, err := io.Copy(file, endless{})
	if !errors.Is(err, syscall.ENOSPC) {
		ts.Fatalf("fill the volume: %v", err)
	}
	if len(args) > 0 {
		left, err := strconv.ParseInt(args[0], 10, 64)
		ts.Check(err)
		ts.Check(file.Truncate(taken - left))
	}
}

// endless reads as zeros without end.
type endless struct{}

// Read fills p.
func (endless) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
