package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"kiln/e2e/harness"
)

// execArgument is the first argument with which this program runs a script in a pod by
// pods/exec and ends: a namespace, a pod and the script follow.
const execArgument = "exec"

// timeExec runs a script in the job container with a client that is there already.
func (b *bench) timeExec(ctx context.Context, pod, script string) (time.Duration, error) {
	began := time.Now()
	err := execScript(ctx, b.Cluster, b.namespace, pod, script)
	return time.Since(began), err
}

// timeExecAlone runs a script in the job container from a process of its own, which
// begins with reading how the cluster is reached: what a hook is that uses pods/exec, and
// kubectl.
func (b *bench) timeExecAlone(ctx context.Context, pod, script string) (time.Duration, error) {
	own, err := os.Executable()
	if err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, own, execArgument, b.namespace, pod, script)
	cmd.Stderr = os.Stderr
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("pods/exec from a process of its own: %w", err)
	}
	return time.Since(began), nil
}

// execAlone is that process. It returns its exit code.
func execAlone(args []string) int {
	if len(args) != 3 {
		fmt.Fprintln(os.Stderr, "bench: "+execArgument+" wants a namespace, a pod and a script")
		return 2
	}
	cluster, err := harness.Connect()
	if err == nil {
		err = execScript(context.Background(), cluster, args[0], args[1], args[2])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	return 0
}

// execScript runs a script in a job container as the stock hook would.
func execScript(ctx context.Context, cluster *harness.Cluster, namespace, pod, script string) error {
	return cluster.Exec(ctx, harness.Exec{
		Namespace: namespace, Pod: pod, Container: "job", Command: []string{"sh", "-ec", script}, Stdout: io.Discard, Stderr: io.Discard,
	})
}
