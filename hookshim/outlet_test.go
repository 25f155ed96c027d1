package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"kiln/internal/agent"
	"kiln/internal/spool"
)

// runAction is what the daemon and a node do with an action that has an outlet: they run
// ./action.sh with the agent in front, and print what came another way. Told otherwise,
// the action does not reach its outlet ("apart"), or the daemon answers while it still
// runs ("early").
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
	if how != "early" {
		if err, failed := errors.AsType[*exec.ExitError](<-ended); failed && err.ExitCode() < 0 {
			check(err)
		}
	}
	way := statement(claim, how != "early")
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
