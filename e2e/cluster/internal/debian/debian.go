// Package debian knows which Debian packages the cluster needs and installs
// them, without leaving a service of theirs running.
package debian

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"kiln/e2e/cluster/internal/command"
)

// Release is the Debian release that root file systems are made of.
const Release = "bookworm"

// Here says whether this machine runs Debian.
func Here() bool {
	release, err := os.ReadFile("/etc/os-release")
	return err == nil && IsDebian(release)
}

// IsDebian reads an os-release(5) text.
func IsDebian(release []byte) bool {
	for line := range strings.Lines(string(release)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "ID="); ok {
			return strings.Trim(value, `"`) == "debian"
		}
	}
	return false
}

// EnginePackages are those of an own Docker engine.
func EnginePackages() []string {
	return []string{"docker.io", "containerd", "runc", "iptables", "iproute2"}
}

// BuildPackages are those that make root file systems and node images.
func BuildPackages() []string {
	return []string{"mmdebstrap", "ca-certificates", "debian-archive-keyring"}
}

// Missing returns the packages of the list that are not installed, sorted.
func Missing(ctx context.Context, packages []string) []string {
	args := append([]string{"--show", "--showformat", "${Package} ${db:Status-Status}\n"}, packages...)
	var out bytes.Buffer
	// dpkg-query fails when it does not know one of the packages, and lists
	// the others all the same.
	_ = command.Run(ctx, command.Options{Stdout: &out}, "dpkg-query", args...)
	return missing(packages, out.String())
}

func missing(packages []string, status string) []string {
	installed := map[string]bool{}
	for line := range strings.Lines(status) {
		if name, ok := strings.CutSuffix(strings.TrimSpace(line), " installed"); ok {
			installed[name] = true
		}
	}
	var out []string
	for _, name := range packages {
		if !installed[name] && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// policyFile is asked by package scripts whether they may start a service
// (invoke-rc.d(8)); 101 means no.
const policyFile = "/usr/sbin/policy-rc.d"

// Install installs packages with apt and makes sure that no service they bring
// is running or enabled. apt's own output goes to log.
func Install(ctx context.Context, log io.Writer, packages []string) (err error) {
	restore, err := forbidServices()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, restore()) }()
	output := bufio.NewWriter(log)
	defer output.Flush()
	apt := command.Options{Env: []string{"DEBIAN_FRONTEND=noninteractive"}, Stdout: output}
	if err := command.Run(ctx, apt, "apt-get", "update"); err != nil {
		fmt.Fprintf(output, "apt-get update: %v; going on with the package lists that are there\n", err)
	}
	args := append([]string{"install", "--yes", "--no-install-recommends"}, packages...)
	if err := command.Run(ctx, apt, "apt-get", args...); err != nil {
		return fmt.Errorf("install %s: %w", strings.Join(packages, " "), err)
	}
	return disableServices(ctx, packages)
}

// forbidServices puts a policy in place unless the machine has one.
func forbidServices() (restore func() error, err error) {
	if _, err := os.Lstat(policyFile); !errors.Is(err, fs.ErrNotExist) {
		return func() error { return nil }, err
	}
	if err := os.WriteFile(policyFile, []byte("#!/bin/sh\nexit 101\n"), 0o755); err != nil { //nolint:gosec // it is a program
		return nil, fmt.Errorf("forbid services: %w", err)
	}
	return func() error { return os.Remove(policyFile) }, nil
}

// disableServices keeps the engine's services from starting at the next boot,
// where the machine has systemd.
func disableServices(ctx context.Context, packages []string) error {
	if !slices.Contains(packages, "docker.io") {
		return nil
	}
	if _, err := os.Stat("/run/systemd/system"); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return command.Run(ctx, command.Options{}, "systemctl", "disable", "--now", "docker.service", "docker.socket", "containerd.service")
}

// Bootstrap writes a root file system to a tar file, working in the directory
// work. The variant is one of mmdebstrap's: "minbase" for a Debian system,
// "custom" for just the packages, "extract" for just their files.
func Bootstrap(ctx context.Context, variant string, packages []string, work, out string) error {
	args := []string{"--quiet", "--mode=root", "--variant=" + variant}
	if len(packages) > 0 {
		args = append(args, "--include="+strings.Join(packages, ","))
	}
	args = append(args, Release, out)
	if err := command.Run(ctx, command.Options{Env: []string{"TMPDIR=" + work}}, "mmdebstrap", args...); err != nil {
		return fmt.Errorf("make a Debian root file system: %w", err)
	}
	return nil
}
