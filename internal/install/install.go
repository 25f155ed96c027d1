// Package install puts the hook on a volume that the runner container mounts:
// the shim, the agent that the shim gives to job containers, and the scripts that
// the runner executes. Each appears whole or not at all, and replaces what is
// there.
package install

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Names of what is installed.
const (
	Shim   = "kiln-hook"
	Agent  = "kiln-agent" // the process of job containers
	Script = "hook.sh"
	// JobStarted is the script that the runner executes at the start of a job.
	JobStarted = "job-started.sh"
)

// script is what ACTIONS_RUNNER_CONTAINER_HOOKS names: the runner only takes
// .sh, .js and .ps1. exec keeps the process id, and with it the runner's
// signals, on the shim.
const script = "#!/bin/sh\nexec \"${0%/*}/" + Shim + "\" \"$@\"\n"

// jobStarted is what ACTIONS_RUNNER_HOOK_JOB_STARTED names. What it starts in the
// background, orphaned, so that nobody has to wait for it, may fail; only the operator's
// own script decides about the job. The runner's output is not held open.
const jobStarted = `#!/bin/sh
("${0%/*}/` + Shim + `" --wish "$PPID" </dev/null >/dev/null 2>&1 &)
[ -z "$KILN_JOB_STARTED" ] || exec "${0%/*}/` + Shim + `" --job-started "$@"
`

// Hook writes the programs, which it finds beside this one, and the scripts to
// the directory dest, which it makes.
func Hook(dest string) error {
	own, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the shim: %w", err)
	}
	if err := os.MkdirAll(dest, 0o755); err != nil {
		return fmt.Errorf("make %s: %w", dest, err)
	}
	for _, name := range []string{Shim, Agent} {
		if err := copyProgram(filepath.Dir(own), dest, name); err != nil {
			return err
		}
	}
	return Scripts(dest)
}

// Scripts writes the scripts to the directory dest, beside the programs.
func Scripts(dest string) error {
	for name, text := range map[string]string{JobStarted: jobStarted, Script: script} {
		if err := place(filepath.Join(dest, name), func(w io.Writer) (int64, error) {
			n, err := io.WriteString(w, text)
			return int64(n), err
		}); err != nil {
			return err
		}
	}
	return nil
}

// Destination takes --install=DIR out of the arguments of kiln-sidecar; the rest is
// the worker's.
func Destination(arguments []string) (dir string, rest []string) {
	for _, argument := range arguments {
		if value, found := strings.CutPrefix(argument, "--install="); found {
			dir = value
			continue
		}
		rest = append(rest, argument)
	}
	return dir, rest
}

// copyProgram copies a program from beside this one.
func copyProgram(from, to, name string) error {
	program, err := os.Open(filepath.Join(from, name))
	if err != nil {
		return fmt.Errorf("find %s: it belongs beside kilnd: %w", name, err)
	}
	defer program.Close()
	return place(filepath.Join(to, name), program.WriteTo)
}

// place writes an executable file beside its place and renames it there.
func place(path string, write func(io.Writer) (int64, error)) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), ".kiln-*")
	if err != nil {
		return fmt.Errorf("install %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("install %s: %w", path, err), os.Remove(file.Name()))
		}
	}()
	if _, err = write(file); err == nil {
		err = file.Chmod(0o755)
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
