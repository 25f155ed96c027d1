package agent

import (
	"bufio"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

// defaultPath is what a container runtime sets where the image sets none
// (moby, oci/defaults.go; containerd, oci/spec_opts.go).
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// kubeletPrefixes are the names that the kubelet adds for the API server's
// Service in every container (kubernetes, pkg/kubelet/envvars).
var kubeletPrefixes = []string{"KUBERNETES_SERVICE_", "KUBERNETES_PORT"}

// containerEnv is what a step begins with: the container's environment without
// what makes a program believe that it belongs to Kubernetes, and without unset.
func containerEnv(environ, unset []string) []string {
	var env []string
	for _, item := range environ {
		name, _, _ := strings.Cut(item, "=")
		if !hasPrefix(item, kubeletPrefixes) && !slices.Contains(unset, name) {
			env = append(env, item)
		}
	}
	return env
}

func hasPrefix(s string, prefixes []string) bool {
	for _, prefix := range prefixes {
		if strings.HasPrefix(s, prefix) {
			return true
		}
	}
	return false
}

// stepEnv is the environment of a step: the container's, then the call's, each
// name once. Prepended directories stand before the container's PATH, and then
// the call's PATH does not count: the runner writes that variable last
// (actions/runner, Handlers/StepHost.cs).
func stepEnv(container []string, call Call, home string) []string {
	var env []string
	at := map[string]int{}
	set := func(item string) {
		name, _, _ := strings.Cut(item, "=")
		if i, ok := at[name]; ok {
			env[i] = item
			return
		}
		at[name] = len(env)
		env = append(env, item)
	}
	for _, item := range container {
		set(item)
	}
	path := lookupEnv(env, "PATH")
	if path == "" {
		path = defaultPath
		set("PATH=" + path)
	}
	for _, item := range call.Env {
		set(item)
	}
	if len(call.Prepend) > 0 {
		set("PATH=" + strings.Join(call.Prepend, ":") + ":" + path)
	}
	if lookupEnv(env, "HOME") == "" {
		set("HOME=" + home)
	}
	return env
}

// lookupEnv is the value of a variable, "" where it is not set.
func lookupEnv(env []string, name string) string {
	for _, item := range env {
		if key, value, _ := strings.Cut(item, "="); key == name {
			return value
		}
	}
	return ""
}

// homeDir is the home of a user by /etc/passwd, else the root: what a container
// runtime sets where HOME is not set (runc, libcontainer/env.go). The static
// program has no other source.
func homeDir(uid int) string {
	file, err := os.Open("/etc/passwd")
	if err != nil {
		return "/"
	}
	defer file.Close()
	return findHome(io.LimitReader(file, 1<<20), uid)
}

// findHome looks a user up in a file of the form of passwd(5).
func findHome(passwd io.Reader, uid int) string {
	lines := bufio.NewScanner(passwd)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), ":")
		if len(fields) > 5 && fields[2] == strconv.Itoa(uid) && fields[5] != "" {
			return fields[5]
		}
	}
	return "/"
}
