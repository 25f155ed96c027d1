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
	scriptName = "hook.sh"
)

// script is what ACTIONS_RUNNER_CONTAINER_HOOKS names: the runner only takes
// .sh, .js and .ps1. exec keeps the process id, and with it the runner's
// signals, on the shim.
const script = "#!/bin/sh\nexec \"${0%/*}/" + shimName + "\" \"$@\"\n"

// installCommand copies the shim to a volume that the runner mounts.
type installCommand struct {
	Dest string `help:"Directory to write kiln-hook and hook.sh to." required:"" type:"path"`
}

// Run writes both files, each whole or not at all.
func (c *installCommand) Run() error {
	own, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the shim: %w", err)
	}
	shim, err := os.Open(filepath.Join(filepath.Dir(own), shimName))
	if err != nil {
		return fmt.Errorf("find the shim: it belongs beside kilnd: %w", err)
	}
	defer shim.Close()
	if err := os.MkdirAll(c.Dest, 0o755); err != nil {
		return fmt.Errorf("make %s: %w", c.Dest, err)
	}
	if err := place(filepath.Join(c.Dest, shimName), shim.WriteTo); err != nil {
		return err
	}
	return place(filepath.Join(c.Dest, scriptName), func(w io.Writer) (int64, error) {
		n, err := io.WriteString(w, script)
		return int64(n), err
	})
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
