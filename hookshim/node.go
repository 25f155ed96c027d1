package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// node returns the program that runs a .js delegate: the newest of the
// runner's own, else the one on PATH.
func (d delegate) node() (string, error) {
	places := d.externals()
	for _, dir := range places {
		if node := newestNode(dir); node != "" {
			return node, nil
		}
	}
	if node, ok := lookPath("node"); ok {
		return node, nil
	}
	return "", fmt.Errorf("%s is %s, and there is no node to run it: looked for node*/bin/node in %s, and for node on PATH; keep the runner's externals or install node in the runner container",
		envDelegate, d, strings.Join(places, ", "))
}

// externals lists where the runner may keep its node versions: beside the
// delegate's directory, as in the runner's image, and above its work folder.
func (d delegate) externals() []string {
	places := []string{filepath.Join(filepath.Dir(filepath.Dir(string(d))), "externals")}
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
