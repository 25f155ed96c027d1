// Package engine finds the machine's Docker engine or runs one of its own.
//
// The own engine keeps everything below one directory: data, sockets, pid
// file, log. It uses addresses of its own, so that what it leaves in the
// machine's network can be told from anything else, and Stop takes all of it
// away again: processes, mounts, links, packet filter rules and cgroups. Only
// the data directory stays; it holds the images.
//
// It guarantees this after a kill -9 of everything too: Start first removes
// what a dead engine left. It does not touch an engine that it did not start.
package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"kiln/e2e/cluster/internal/command"
	"kiln/e2e/cluster/internal/progress"
	"kiln/e2e/cluster/internal/runcspec"
)

// Addresses of the own engine's networks. They are private (RFC 1918) and
// unlikely to be the machine's own. There is no default bridge: its name,
// docker0, may be another engine's.
const (
	poolBase = "172.29.0.0/16"
	poolSize = 24
)

// Own is an engine of ours in a directory.
type Own struct {
	// Dir holds everything of the engine.
	Dir      string
	Progress *progress.Printer
}

// Host is the own engine's address, as DOCKER_HOST has it.
func (o Own) Host() string { return "unix://" + o.path("docker.sock") }

// Reachable says whether an engine answers at host; an empty host means what
// the docker command line uses by itself. Where nothing listens it says so at
// once; an engine on a busy machine gets half a minute.
func Reachable(ctx context.Context, host string) bool {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	args := []string{"version", "--format", "{{.Server.Version}}"}
	if host != "" {
		args = append([]string{"--host", host}, args...)
	}
	_, err := command.Output(ctx, "docker", args...)
	return err == nil
}

// Running says whether the own engine answers.
func (o Own) Running(ctx context.Context) bool {
	if _, err := os.Stat(o.path("docker.sock")); err != nil {
		return false
	}
	return Reachable(ctx, o.Host())
}

// Start starts the own engine, after it has removed what an earlier one left,
// and returns when it answers. An engine that does not come up on its old data
// gets a second try on empty data.
func (o Own) Start(ctx context.Context, filter string) error {
	if err := o.Sweep(ctx); err != nil {
		return fmt.Errorf("remove what an earlier engine left: %w", err)
	}
	if err := foreign(); err != nil {
		return err
	}
	if err := o.saveBefore(ctx); err != nil {
		return err
	}
	err := o.launch(ctx, filter)
	if err == nil || ctx.Err() != nil {
		return err
	}
	o.Progress.Printf("the Docker engine did not start on its old data (%v); starting again on empty data", err)
	if err := o.Sweep(ctx); err != nil {
		return err
	}
	if err := os.RemoveAll(o.path("data")); err != nil {
		return fmt.Errorf("remove engine data: %w", err)
	}
	if err := o.saveBefore(ctx); err != nil {
		return err
	}
	return o.launch(ctx, filter)
}

// launch writes the configuration, starts dockerd in a session of its own and
// waits until it answers.
func (o Own) launch(ctx context.Context, filter string) error {
	if err := o.configure(filter); err != nil {
		return err
	}
	log, err := os.Create(o.path("dockerd.log"))
	if err != nil {
		return fmt.Errorf("create engine log: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(dockerd(), "--config-file", o.path("daemon.json"))
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // it outlives this program
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start dockerd: %w", err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	return o.awaitAnswer(ctx, exited)
}

func (o Own) awaitAnswer(ctx context.Context, exited <-chan error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		select {
		case err := <-exited:
			if err == nil {
				err = errors.New("exit status 0")
			}
			return fmt.Errorf("dockerd ended: %w: %s; its log is %s", err, o.lastLogLine(), o.path("dockerd.log"))
		case <-ctx.Done():
			return fmt.Errorf("dockerd does not answer: %w; its log is %s", ctx.Err(), o.path("dockerd.log"))
		case <-time.After(100 * time.Millisecond):
			if o.Running(ctx) {
				return nil
			}
		}
	}
}

// configure writes daemon.json. filter is the runc filter's path; it is used
// only where the machine needs it.
func (o Own) configure(filter string) error {
	if err := os.MkdirAll(o.Dir, 0o711); err != nil {
		return fmt.Errorf("create engine directory: %w", err)
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return fmt.Errorf("read own capabilities: %w", err)
	}
	needed := runcspec.BoundingLacks(status)
	if needed {
		if err := o.installFilter(filter); err != nil {
			return err
		}
	}
	config, err := json.MarshalIndent(o.settings(needed), "", "  ")
	if err != nil {
		return fmt.Errorf("encode engine configuration: %w", err)
	}
	if err := os.WriteFile(o.path("daemon.json"), config, 0o644); err != nil {
		return fmt.Errorf("write engine configuration: %w", err)
	}
	return nil
}

// installFilter copies the runc filter beside the engine's other files: the
// cache may let go of it while the engine runs.
func (o Own) installFilter(filter string) error {
	program, err := os.ReadFile(filter)
	if err != nil {
		return fmt.Errorf("read runc filter: %w", err)
	}
	if err := os.WriteFile(o.path(filterName), program, 0o755); err != nil { //nolint:gosec // it is a program
		return fmt.Errorf("install runc filter: %w", err)
	}
	return nil
}

// filterName is the runc filter's name in the engine's directory.
const filterName = "runcfilter"

// settings are those of dockerd's daemon.json
// (https://docs.docker.com/reference/cli/dockerd/#daemon-configuration-file).
func (o Own) settings(filter bool) map[string]any {
	settings := map[string]any{
		"data-root":             o.path("data"),
		"exec-root":             o.path("exec"),
		"pidfile":               o.path("docker.pid"),
		"hosts":                 []string{o.Host()},
		"bridge":                "none",
		"default-address-pools": []map[string]any{{"base": poolBase, "size": poolSize}},
		"iptables":              true,
		"ip6tables":             false,
		"exec-opts":             []string{"native.cgroupdriver=cgroupfs"},
		"cgroup-parent":         "/" + o.cgroup(),
		"log-driver":            "json-file",
		"log-opts":              map[string]string{"max-size": "10m", "max-file": "2"},
	}
	if filter {
		settings["runtimes"] = map[string]any{"kiln": map[string]any{"path": o.path(filterName)}}
		settings["default-runtime"] = "kiln"
	}
	return settings
}

// Stop ends the own engine and removes everything of it but its data. The
// caller has removed its containers and networks.
func (o Own) Stop(ctx context.Context) error {
	if pid, ok := o.pid(); ok {
		_ = syscall.Kill(pid, syscall.SIGTERM)
		awaitExit(pid, 20*time.Second)
	}
	return o.Sweep(ctx)
}

// pid is that of the running dockerd, if the pid file names a process that is
// one of ours: pids are reused.
func (o Own) pid() (int, bool) {
	raw, err := os.ReadFile(o.path("docker.pid"))
	if err != nil {
		return 0, false
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil || !bytes.Contains(cmdline(pid), []byte(o.path("daemon.json"))) {
		return 0, false
	}
	return pid, true
}

func (o Own) lastLogLine() string {
	raw, err := os.ReadFile(o.path("dockerd.log"))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	return lines[len(lines)-1]
}

func (o Own) path(name string) string { return filepath.Join(o.Dir, name) }

// dockerd is Debian's, which is in a directory that not every PATH has.
func dockerd() string {
	if path, err := exec.LookPath("dockerd"); err == nil {
		return path
	}
	return "/usr/sbin/dockerd"
}

// CheckLength refuses directories whose sockets would have names longer than
// the kernel takes (108 bytes, unix(7)).
func (o Own) CheckLength() error {
	const longest = 60
	if len(o.Dir) > longest {
		return errors.New("KILN_CLUSTER_DIR is too long for the engine's sockets: use a path of at most 50 characters")
	}
	return nil
}
