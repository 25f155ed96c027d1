// Package runcspec makes an OCI runtime specification startable on a machine
// whose capability bounding set lacks CAP_SYS_RESOURCE, as some sandboxes'
// does.
//
// runc refuses a container that asks for a capability outside the bounding
// set, which every privileged container does, and it may not lower
// oom_score_adj without CAP_SYS_RESOURCE. Docker has no setting for either, so
// a filter in front of runc takes both out of the specification.
package runcspec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

const missing = "CAP_SYS_RESOURCE"

// Relax returns the specification without CAP_SYS_RESOURCE and without a
// negative oomScoreAdj. The document is either a whole config.json or the
// process object that `runc exec --process` reads; everything else in it is
// returned as it was. Numbers keep their text.
func Relax(spec []byte) ([]byte, error) {
	decoder := json.NewDecoder(bytes.NewReader(spec))
	decoder.UseNumber() // limits and ids are 64 bits wide
	var doc map[string]any
	if err := decoder.Decode(&doc); err != nil {
		return nil, fmt.Errorf("read runtime specification: %w", err)
	}
	process := doc
	if inner, ok := doc["process"].(map[string]any); ok {
		process = inner
	}
	relaxProcess(process)
	return json.Marshal(doc)
}

func relaxProcess(process map[string]any) {
	if sets, ok := process["capabilities"].(map[string]any); ok {
		for name, set := range sets {
			if list, ok := set.([]any); ok {
				sets[name] = slices.DeleteFunc(list, func(c any) bool { return c == missing })
			}
		}
	}
	if n, ok := process["oomScoreAdj"].(json.Number); ok && strings.HasPrefix(n.String(), "-") {
		process["oomScoreAdj"] = 0
	}
}

// Files lists the specifications that a runc command line names: the bundle's
// config.json and the process file of exec.
func Files(args []string) []string {
	var files []string
	add := func(flag, value string) {
		switch flag {
		case "--bundle", "-b", "-bundle":
			files = append(files, strings.TrimSuffix(value, "/")+"/config.json")
		case "--process", "-p", "-process":
			files = append(files, value)
		}
	}
	for i, arg := range args {
		if flag, value, ok := strings.Cut(arg, "="); ok {
			add(flag, value)
		} else if i+1 < len(args) {
			add(arg, args[i+1])
		}
	}
	return files
}

// BoundingLacks says whether a /proc/<pid>/status text shows a bounding set
// without CAP_SYS_RESOURCE (bit 24 of CapBnd, capabilities(7)).
func BoundingLacks(status []byte) bool {
	const bit = 24
	for line := range strings.Lines(string(status)) {
		value, ok := strings.CutPrefix(line, "CapBnd:")
		if !ok {
			continue
		}
		var set uint64
		if _, err := fmt.Sscanf(strings.TrimSpace(value), "%x", &set); err != nil {
			return false
		}
		return set&(1<<bit) == 0
	}
	return false
}
