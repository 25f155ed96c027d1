package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"kiln/internal/agent"
	"kiln/internal/spool"
)

// runAction is what the daemon and a node do with an action that has an outlet: they run
// ./action.sh with the agent in front, and print what came another way. Told otherwise,
// the action does not reach its outlet ("apart"), or the daemon answers while it still
// runs, once it has made the file "printed" ("early"). Where the agent is the first
// process of a namespace ("first") the action tells its end, and the daemon waits for it.
func runAction(claim *spool.Claim, how string) int {
	offered := claim.Request.Outlet
	if offered == nil || !offered.Valid() {
		fmt.Fprintln(claim.Log, "no outlet is offered")
		return 1
	}
	fmt.Fprintln(claim.Log, "the daemon begins")
	check(claim.Log.Flush())
	dir := filepath.Join(filepath.Dir(os.Getenv("RUNNER_WORKSPACE")), spool.JobsDir, offered.Dir)
	door := filepath.Join(dir, "door")
	if how == "apart" {
		door = filepath.Join(dir, "nowhere")
	}
	var own bytes.Buffer
	action := exec.Command(filepath.Join(dir, "agent"), agent.ActionCommand, door, offered.Token, "sh", "./action.sh")
	action.Args[0] = agentProgram
	action.Stdout, action.Stderr = &own, &own
	if how == "first" {
		action.SysProcAttr, action.Env = newNamespace(), []string{"PATH=" + shellPath()}
	}
	check(action.Start())
	ended := make(chan error, 1)
	go func() { ended <- action.Wait() }()
	if how == "deaf" {
		for !claim.Vanished() {
			time.Sleep(5 * time.Millisecond)
		}
		check(action.Process.Kill())
		return 1
	}
	if how == "early" {
		awaitFile("printed")
	} else {
		if err, failed := errors.AsType[*exec.ExitError](<-ended); failed && err.ExitCode() < 0 {
			check(err)
		}
	}
	way := statement(claim, how != "early")
	if how == "first" {
		fmt.Fprintf(claim.Log, "told %d\n", toldExit(claim))
	}
	switch {
	case how == "early": // it prints still
	case way == spool.Shut:
		_, _ = claim.Log.Write(own.Bytes())
	case own.Len() > 0:
		fmt.Fprintf(claim.Log, "printed twice: %q", own.String())
	}
	fmt.Fprintf(claim.Log, "\nkiln: the daemon ends, %s\n", way)
	if how == "early" {
		return 1
	}
	return action.ProcessState.ExitCode()
}

// awaitFile waits until a file is there.
func awaitFile(name string) {
	for {
		_, err := os.Stat(name)
		if err == nil {
			return
		}
		if !errors.Is(err, os.ErrNotExist) {
			check(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// statement is what the shim says; in a hurry it is asked for.
func statement(claim *spool.Claim, hurry bool) spool.Way {
	for i := 0; ; i++ {
		if way := claim.Way(); way != spool.Undecided {
			return way
		}
		if hurry && i == 20 {
			check(claim.Want())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// toldExit is what the shim says that the action has told.
func toldExit(claim *spool.Claim) int {
	for !claim.Vanished() {
		if code, told := claim.Exit(); told {
			return code
		}
		time.Sleep(5 * time.Millisecond)
	}
	return -1
}

// newNamespace is for a process that is to be the first of its namespace.
func newNamespace() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
}

// namespaces reports whether this machine allows them.
func namespaces() bool {
	try := exec.Command("true")
	try.SysProcAttr = newNamespace()
	return try.Run() == nil
}

// shellPath is a directory with a shell alone: no init is in it, which the agent would let
// be the first process.
func shellPath() string {
	dir, err := filepath.Abs("bin")
	check(err)
	shell, err := exec.LookPath("sh")
	check(err)
	check(os.MkdirAll(dir, 0o755))
	check(os.Symlink(shell, filepath.Join(dir, "sh")))
	return dir
}
