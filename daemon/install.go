package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Names of what install writes.
const (
	shimName   = "kiln-hook"
	agentName  = "kiln-agent" // the process of job containers, which the shim gives them
	scriptName = "hook.sh"
)

// script is what ACTIONS_RUNNER_CONTAINER_HOOKS names: the runner only takes
// .sh, .js and .ps1. exec keeps the process id, and with it the runner's
// signals, on the shim.
const script = "#!/bin/sh\nexec \"${0%/*}/" + shimName + "\" \"$@\"\n"

// installCommand copies the shim to a volume that the runner mounts.
type installCommand struct {
	Dest string `help:"Directory to write kiln-hook, kiln-agent and hook.sh to." required:"" type:"path"`
}

// Run writes the programs and the script, each whole or not at all.
func (c *installCommand) Run() error {
	own, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the shim: %w", err)
	}
	if err := os.MkdirAll(c.Dest, 0o755); err != nil {
		return fmt.Errorf("make %s: %w", c.Dest, err)
	}
	for _, name := range []string{shimName, agentName} {
		if err := copyProgram(filepath.Dir(own), c.Dest, name); err != nil {
			return err
		}
	}
	return place(filepath.Join(c.Dest, scriptName), func(w io.Writer) (int64, error) {
		n, err := io.WriteString(w, script)
		return int64(n), err
	})
}

// copyProgram copies a program from beside kilnd.
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
