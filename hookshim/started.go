package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// The variables of the job's start.
const (
	envJobStarted  = "KILN_JOB_STARTED"                // the operator's own script
	envStartedHook = "ACTIONS_RUNNER_HOOK_JOB_STARTED" // the runner's own: the script that it calls
)

// becomeStarted replaces this process by the operator's own script of the job's start,
// run as the runner runs one: with this process's standard input, arguments but the first,
// environment, directory and process id. It returns only with an error, which fails the
// job, as the runner fails one whose script it does not find.
func becomeStarted() error {
	script := os.Getenv(envJobStarted)
	if err := checkStarted(script); err != nil {
		return err
	}
	argv, err := startedCommand(script)
	if err != nil {
		return err
	}
	if err := syscall.Exec(argv[0], append(argv, os.Args[2:]...), os.Environ()); err != nil {
		return fmt.Errorf("run %s=%s with %s: %w", envJobStarted, script, argv[0], err)
	}
	return nil
}

// checkStarted refuses what is no script, and kiln's own, which would call itself for
// ever.
func checkStarted(script string) error {
	if !filepath.IsAbs(script) {
		return fmt.Errorf("%s is %q: write the absolute path of the script that is to run at the start of each job", envJobStarted, script)
	}
	info, err := os.Stat(script)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%s is %s, and there is no such file in the runner container: mount it there, or unset the variable", envJobStarted, script)
	case err != nil:
		return fmt.Errorf("%s cannot be used: %w", envJobStarted, err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is %s, which is no file", envJobStarted, script)
	}
	if own, err := os.Stat(os.Getenv(envStartedHook)); err == nil && os.SameFile(info, own) {
		return fmt.Errorf("%s and %s both name %s: the first is the script that is to run besides kiln's", envJobStarted, envStartedHook, script)
	}
	return nil
}

// startedCommand is what the runner runs a script with (actions/runner, HostContext.cs,
// GetDefaultShellForScript, and ScriptHandlerHelpers.cs).
func startedCommand(script string) ([]string, error) {
	switch extension := filepath.Ext(script); extension {
	case ".js", ".sh":
		argv, err := hookInterpreter(envJobStarted, script)
		return append(argv, script), err
	case ".ps1":
		for _, shell := range []string{"pwsh", "powershell"} {
			if path, ok := lookPath(shell); ok {
				return []string{path, "-command", ". '" + strings.ReplaceAll(script, "'", "''") + "'"}, nil
			}
		}
		return nil, fmt.Errorf("%s is %s, and pwsh is not on PATH to run it: install it in the runner container", envJobStarted, script)
	default:
		return nil, fmt.Errorf("%s is %s: the runner runs .sh, .js and .ps1 scripts, not %q", envJobStarted, script, extension)
	}
}
