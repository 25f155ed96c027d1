// Package oracle builds Dockerfiles with BuildKit, Docker's own builder: the
// daemon and its client are the programs of github.com/moby/buildkit, RUN steps
// run in runc.
package oracle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Config says what a daemon is made of.
type Config struct {
	// Daemon and Client are the programs buildkitd and buildctl.
	Daemon, Client string
	// Dir is an empty directory for all that the daemon writes.
	Dir string
	// Cgroup is the control group for RUN steps.
	Cgroup string
	// Registry is the one registry, plain HTTP, that takes pushes and stands
	// for all of Mirrored.
	Registry string
	// Mirrored are the registries that Dockerfiles name.
	Mirrored []string
}

// Oracle is a running daemon. Its builds may run beside each other.
type Oracle struct {
	config Config
	daemon *exec.Cmd
	log    *os.File
	builds atomic.Uint64
}

// Start starts the daemon and waits until it answers.
func Start(ctx context.Context, config Config) (*Oracle, error) {
	file := filepath.Join(config.Dir, "buildkitd.toml")
	if err := os.WriteFile(file, []byte(config.toml()), 0o600); err != nil {
		return nil, fmt.Errorf("write BuildKit's configuration: %w", err)
	}
	log, err := os.Create(filepath.Join(config.Dir, "buildkitd.log"))
	if err != nil {
		return nil, fmt.Errorf("create BuildKit's log: %w", err)
	}
	o := &Oracle{config: config, log: log}
	o.daemon = exec.CommandContext(ctx, config.Daemon, "--config", file, "--oci-worker-net=host")
	o.daemon.Env = append(os.Environ(), "TMPDIR="+config.Dir) // it leaves directories there
	o.daemon.Stdout, o.daemon.Stderr = log, log
	o.daemon.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := o.daemon.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start BuildKit: %w", err), log.Close())
	}
	if err := o.await(ctx); err != nil {
		return nil, errors.Join(err, o.Stop())
	}
	return o, nil
}

// toml is the configuration of the daemon.
func (c Config) toml() string {
	var out strings.Builder
	fmt.Fprintf(&out, "root = %q\n[grpc]\naddress = [%q]\n", filepath.Join(c.Dir, "state"), c.address())
	fmt.Fprintf(&out, "[worker.containerd]\nenabled = false\n[worker.oci]\nenabled = true\ngc = false\n")
	fmt.Fprintf(&out, "snapshotter = \"overlayfs\"\ndefaultCgroupParent = %q\n", c.Cgroup)
	fmt.Fprintf(&out, "[registry.%q]\nhttp = true\n", c.Registry)
	for _, host := range c.Mirrored {
		fmt.Fprintf(&out, "[registry.%q]\nmirrors = [%q]\n", host, c.Registry)
	}
	return out.String()
}

func (c Config) address() string { return "unix://" + filepath.Join(c.Dir, "buildkitd.sock") }

// await polls the daemon, which says nowhere that it listens.
func (o *Oracle) await(ctx context.Context) error {
	const limit, interval = 30 * time.Second, 20 * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		if exec.CommandContext(ctx, o.config.Client, "--addr", o.config.address(), "debug", "workers").Run() == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			data, _ := os.ReadFile(o.log.Name()) // the log is only shown
			return fmt.Errorf("BuildKit does not answer: %w\n%s", ctx.Err(), data)
		case <-time.After(interval):
		}
	}
}

// Stop ends the daemon.
func (o *Oracle) Stop() error {
	_ = o.daemon.Process.Kill() // it has ended by itself
	_ = o.daemon.Wait()         // it was killed
	return o.log.Close()
}

// BuildError says that BuildKit does not build a Dockerfile.
type BuildError struct {
	// Reason is the last line of the client's output.
	Reason string
	// Output is all of it.
	Output string
}

// Error is the reason.
func (e *BuildError) Error() string { return e.Reason }

// Build builds a Dockerfile with its directory as the context, as Docker does
// without options, and pushes the image to a reference of the registry. The
// error is a *BuildError when the build failed.
//
// BuildKit takes what it has of an earlier directory of the same name for the
// files of this one that have their size, mode and time, as files of the corpus
// do; buildctl tells it nothing else of a directory. So each build gives its
// context another name.
func (o *Oracle) Build(ctx context.Context, dockerfile, push string) error {
	dir, name := filepath.Split(dockerfile)
	own := fmt.Sprintf("build-%d", o.builds.Add(1))
	var output bytes.Buffer
	cmd := exec.CommandContext(ctx, o.config.Client, "--addr", o.config.address(), "build",
		"--progress=plain",
		"--frontend=dockerfile.v0",
		// The frontend that a "# syntax=" line asks for is this one.
		"--opt=cmdline=built-in",
		"--opt=filename="+name,
		// The frontend calls a context "context", and BuildKit puts in front of it
		// what stands before the colon; any session will do. It reads its own
		// result again, so the prefix stands there twice (Identifier in
		// source/local, normalizedSourceIdentifier in solver/llbsolver).
		"--opt=local-sessionid:context="+own+":",
		"--local="+own+"-"+own+"-context="+dir,
		"--local=dockerfile="+dir,
		"--output=type=image,push=true,name="+push,
	)
	cmd.Stdout, cmd.Stderr = &output, &output
	err := cmd.Run()
	if _, failed := errors.AsType[*exec.ExitError](err); failed && ctx.Err() == nil {
		return &BuildError{Reason: reason(output.String()), Output: output.String()}
	}
	if err != nil {
		return fmt.Errorf("run buildctl: %w", err)
	}
	return nil
}

// reason is the last line that says "error:", without that word.
func reason(output string) string {
	lines := strings.Split(strings.TrimSpace(output), "\n")
	for _, line := range slices.Backward(lines) {
		if text, found := strings.CutPrefix(line, "error: "); found {
			return strings.TrimPrefix(text, "failed to solve: ")
		}
	}
	return lines[len(lines)-1]
}
