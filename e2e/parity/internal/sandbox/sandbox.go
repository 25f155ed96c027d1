// Package sandbox gives a run namespaces of its own, so that it can mount,
// listen and start daemons without touching the machine, and so that all of it
// is gone the moment its first process is: processes, mounts, links, files.
//
// Inside, /run is an empty file system in memory that holds everything the run
// writes, the network is a loopback device, and other file systems are the
// machine's. Control groups alone are shared with the machine; they are made
// below one name and removed by the process outside.
package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// inside is the variable that names the control group to the process
	// inside.
	inside = "KILN_PARITY_CGROUP"
	// groups begins the names of control groups.
	groups = "kiln-parity-"
	// Dir is the directory for what the run writes, inside.
	Dir = "/run/kiln-parity"
)

// Inside returns the name of the run's control group, and whether this process
// is the one inside.
func Inside() (string, bool) { return os.LookupEnv(inside) }

// Run starts this program again inside, with the same arguments and
// environment, and waits for it. Ending the context, or the death of this
// process, kills everything inside. It returns the exit code.
func Run(ctx context.Context) (int, error) {
	if os.Geteuid() != 0 {
		return 0, errors.New("namespaces, mounts and runc need root")
	}
	// The death signal is sent when the thread that started the child ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	sweep()
	defer sweep()
	cmd := exec.CommandContext(ctx, "/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"="+groups+strconv.Itoa(os.Getpid()))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
		Pdeathsig:  syscall.SIGKILL,
		Setpgid:    true, // a terminal's interrupt is this process's to pass on
	}
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && ctx.Err() == nil && exit.Exited() {
		return exit.ExitCode(), nil
	}
	return 0, errors.Join(ctx.Err(), err)
}

// sweep removes the control groups of runs that are over.
func sweep() {
	var found []string
	const root = "/sys/fs/cgroup"
	for _, pattern := range []string{root + "/" + groups + "*", root + "/*/" + groups + "*"} {
		matches, _ := filepath.Glob(pattern) // the pattern is well formed
		found = append(found, matches...)
	}
	for _, group := range found {
		var dirs []string
		_ = filepath.WalkDir(group, func(dir string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				dirs = append(dirs, dir)
			}
			return nil
		})
		slices.Reverse(dirs)
		for _, dir := range dirs {
			_ = unix.Rmdir(dir) // one that another run uses is busy
		}
	}
}

// Enter makes the inside what the package says. It is for the first process
// inside and is called once, at its start.
func Enter() error {
	mounts := []struct {
		source, target, kind string
		flags                uintptr
		data                 string
	}{
		{"", "/", "", unix.MS_REC | unix.MS_PRIVATE, ""},
		{"proc", "/proc", "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
		{"tmpfs", "/run", "tmpfs", 0, "mode=0755"},
	}
	for _, m := range mounts {
		if err := unix.Mount(m.source, m.target, m.kind, m.flags, m.data); err != nil {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	if err := os.Mkdir(Dir, 0o755); err != nil {
		return fmt.Errorf("make the run's directory: %w", err)
	}
	return loopback()
}

// loopback brings the loopback device up (netdevice(7)).
func loopback() error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open a socket: %w", err)
	}
	defer unix.Close(socket)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, request); err != nil {
		return fmt.Errorf("bring the loopback device up: %w", err)
	}
	return nil
}

// Missing names what the machine lacks for a run, or is empty.
func Missing() string {
	if os.Geteuid() != 0 {
		return "namespaces, mounts and runc need root"
	}
	var lacking []string
	for _, program := range []string{"runc"} {
		if _, err := exec.LookPath(program); err != nil {
			lacking = append(lacking, program)
		}
	}
	if len(lacking) == 0 {
		return ""
	}
	return "not installed: " + strings.Join(lacking, ", ")
}
