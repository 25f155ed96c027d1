package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"kiln/e2e/cluster/internal/cache"
	"kiln/e2e/cluster/internal/command"
)

const cgroupRoot = "/sys/fs/cgroup"

// Sweep removes what an engine left, whether it was stopped or killed:
// processes, mounts, links, packet filter rules, cgroups, sockets. It does
// nothing when the last engine of this directory was swept already: links and
// cgroups that look like its own are then another directory's.
func (o Own) Sweep(ctx context.Context) error {
	if !exists(o.path(beforeFile)) {
		return nil
	}
	killAll(o.leftovers)
	err := errors.Join(
		o.unmount(),
		removeLinks(ctx),
		removeCgroups(o.cgroup()),
		os.RemoveAll(o.path("exec")),
		os.RemoveAll(o.path("docker.sock")),
		os.RemoveAll(o.path("docker.pid")),
	)
	if err != nil {
		return err
	}
	return o.restore(ctx)
}

// foreign returns an error when another engine of this kind runs on the
// machine, out of another directory: they would share addresses.
func foreign() error {
	links, err := ownLinks()
	if err != nil {
		return err
	}
	if len(links) > 0 {
		return errors.New("another kiln-cluster engine runs on this machine, with another KILN_CLUSTER_DIR: use that directory, or take its cluster down first")
	}
	return nil
}

// leftovers lists the processes of the engine and of its containers: those in
// its cgroup and those that were started with a path of its directory.
func (o Own) leftovers() []int {
	pids := cgroupPids(o.cgroup())
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return pids
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() || slices.Contains(pids, pid) {
			continue
		}
		if isEngineProgram(cmdline(pid), o.Dir) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// isEngineProgram recognises dockerd, containerd and its shims by their
// program name and a path of the engine's directory among their arguments, so
// that an editor with the log open is left alone.
func isEngineProgram(cmdline []byte, dir string) bool {
	program, args, _ := bytes.Cut(cmdline, []byte{0})
	name := filepath.Base(string(program))
	if name != "dockerd" && !strings.HasPrefix(name, "containerd") {
		return false
	}
	return bytes.Contains(args, []byte(dir+"/"))
}

func cmdline(pid int) []byte {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return nil
	}
	return raw
}

// cgroupPids lists the processes below a cgroup, in any hierarchy.
func cgroupPids(name string) []int {
	var pids []int
	for _, dir := range cgroupDirs(name) {
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Name() == "cgroup.procs" {
				pids = append(pids, readPids(path)...)
			}
			return nil
		})
	}
	slices.Sort(pids)
	return slices.Compact(pids)
}

func readPids(path string) []int {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	var pids []int
	for field := range strings.FieldsSeq(string(raw)) {
		if pid, err := strconv.Atoi(field); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// killAll kills until the list is empty or a few seconds have passed: a
// supervisor among the processes may have started another one meanwhile.
func killAll(list func() []int) {
	deadline := time.Now().Add(10 * time.Second)
	for pids := list(); len(pids) > 0 && time.Now().Before(deadline); pids = list() {
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		for _, pid := range pids {
			awaitExit(pid, time.Until(deadline))
		}
	}
}

// awaitExit waits for a process that need not be a child.
func awaitExit(pid int, limit time.Duration) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return // gone already
	}
	defer unix.Close(fd)
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	_, _ = unix.Poll(poll, int(max(limit, 0).Milliseconds()))
}

// unmount detaches every mount below the engine's directory, the last made
// first.
func (o Own) unmount() error {
	raw, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("list mounts: %w", err)
	}
	points := MountsBelow(raw, o.Dir)
	slices.Reverse(points)
	for _, point := range points {
		if err := unix.Unmount(point, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("unmount %s: %w", point, err)
		}
	}
	return nil
}

// MountsBelow lists the mount points below a directory, in the order of a
// mountinfo text (proc_pid_mountinfo(5)).
func MountsBelow(mountinfo []byte, dir string) []string {
	const pointField = 4
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	var points []string
	for line := range strings.Lines(string(mountinfo)) {
		fields := strings.Fields(line)
		if len(fields) <= pointField {
			continue
		}
		if point := unescape.Replace(fields[pointField]); strings.HasPrefix(point, dir+"/") {
			points = append(points, point)
		}
	}
	return points
}

// removeLinks deletes the engine's bridges and what is plugged into them.
func removeLinks(ctx context.Context) error {
	links, err := ownLinks()
	if err != nil {
		return err
	}
	for _, bridge := range links {
		ports, _ := filepath.Glob(filepath.Join("/sys/class/net", bridge, "brif", "*")) // the pattern is well formed
		for _, port := range ports {
			// The kernel may be taking it away just now, with its namespace.
			_ = command.Run(ctx, command.Options{}, "ip", "link", "delete", filepath.Base(port))
		}
		if err := command.Run(ctx, command.Options{}, "ip", "link", "delete", bridge); err != nil {
			return err
		}
	}
	return nil
}

// ownLinks names the links whose address is in the engine's range.
func ownLinks() ([]string, error) {
	links, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	var names []string
	for _, link := range links {
		addresses, err := link.Addrs()
		if err == nil && slices.ContainsFunc(addresses, ours) {
			names = append(names, link.Name)
		}
	}
	return names, nil
}

func ours(address net.Addr) bool {
	ip, _, err := net.ParseCIDR(address.String())
	if err != nil {
		return false
	}
	_, pool, err := net.ParseCIDR(poolBase)
	return err == nil && pool.Contains(ip)
}

// cgroup is the name of the cgroup that holds every container of the engine.
func (o Own) cgroup() string { return "kiln-" + cache.Key(o.Dir) }

// cgroupDirs are the directories of a cgroup: one per controller with cgroup
// v1, one with v2.
func cgroupDirs(name string) []string {
	dirs, _ := filepath.Glob(filepath.Join(cgroupRoot, "*", name)) // the pattern is well formed
	if single := filepath.Join(cgroupRoot, name); exists(single) {
		dirs = append(dirs, single)
	}
	return dirs
}

// removeCgroups removes a cgroup, the innermost first: the kernel lets go only
// of empty ones.
func removeCgroups(name string) error {
	for _, top := range cgroupDirs(name) {
		var dirs []string
		err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("list cgroup %s: %w", top, err)
		}
		slices.Reverse(dirs)
		for _, dir := range dirs {
			if err := removeCgroup(dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeCgroup tries for a moment: a cgroup stays busy until its last process
// has been reaped.
func removeCgroup(dir string) error {
	deadline := time.Now().Add(3 * time.Second)
	for {
		err := os.Remove(dir)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("remove cgroup: %w", err)
		}
		time.Sleep(20 * time.Millisecond) // nothing announces that a cgroup became empty with v1
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
