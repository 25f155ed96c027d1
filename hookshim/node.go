package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// builtInNode is the version that the runner runs hooks with, and envForcedNode
// names another one of its own (actions/runner, NodeUtil.cs,
// GetInternalNodeVersion).
const (
	builtInNode   = "node20"
	envForcedNode = "ACTIONS_RUNNER_FORCED_INTERNAL_NODE_VERSION"
)

// hookNode returns the program that runs a .js hook, which a setting names: the one
// of the runner's own that the runner would run it with, in a runner that no longer has
// it the newest, else the one on PATH. A hook that is older than a version of node may
// have it print warnings into every step.
func hookNode(setting, hook string) (string, error) {
	places := externalsOf(hook)
	for _, dir := range places {
		if node := runnerNode(dir); node != "" {
			return node, nil
		}
	}
	if node, ok := lookPath("node"); ok {
		return node, nil
	}
	return "", fmt.Errorf("%s is %s, and there is no node to run it: looked for node*/bin/node in %s, and for node on PATH; keep the runner's externals or install node in the runner container",
		setting, hook, strings.Join(places, ", "))
}

// runnerNode returns the node among the runner's externals that runs hooks, or
// nothing.
func runnerNode(externals string) string {
	for _, name := range []string{os.Getenv(envForcedNode), builtInNode} {
		path := filepath.Join(externals, name, "bin", "node")
		if _, ok := nodeVersion(name); ok && executable(path) {
			return path
		}
	}
	return newestNode(externals)
}

// externalsOf lists where the runner may keep its node versions: beside the directory of
// a hook, as in the runner's image, and above its work folder.
func externalsOf(hook string) []string {
	places := []string{filepath.Join(filepath.Dir(filepath.Dir(hook)), "externals")}
	// RUNNER_TEMP is _work/_temp below the runner's root.
	if temp := os.Getenv("RUNNER_TEMP"); filepath.IsAbs(temp) {
		place := filepath.Join(filepath.Dir(filepath.Dir(temp)), "externals")
		if place != places[0] {
			places = append(places, place)
		}
	}
	return places
}

// newestNode returns the executable node with the highest version among the
// runner's externals, or nothing. Builds for another C library, such as
// node20_alpine, are no candidates.
func newestNode(externals string) string {
	entries, _ := os.ReadDir(externals) // what cannot be read has none
	newest, found := -1, ""
	for _, entry := range entries {
		version, ok := nodeVersion(entry.Name())
		path := filepath.Join(externals, entry.Name(), "bin", "node")
		if ok && version > newest && executable(path) {
			newest, found = version, path
		}
	}
	return found
}

// nodeVersion returns the 24 of node24.
func nodeVersion(name string) (int, bool) {
	digits, ok := strings.CutPrefix(name, "node")
	if !ok {
		return 0, false
	}
	version, err := strconv.ParseUint(digits, 10, 16)
	return int(version), err == nil
}
