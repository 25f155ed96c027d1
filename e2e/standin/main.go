// Command standin takes the runner's place in the runner container of the
// end-to-end tests, the demo and the bench. It is reached by exec:
//
//	standin wait             lives until SIGTERM, as the container's process
//	standin step             plays one container step, or the start of a job (package runner)
//	standin show ID          prints the report of a step that has ended, one line, then its log
//	standin memory NAME...   prints the resident memory of all processes of those names, in bytes
//	standin proportional NAME...  the same of their proportional memory, to a container of their user
//	standin keep-tags ADDR REGISTRY  serves REGISTRY at ADDR and lets no tag be written twice
//	standin fork SCRIPT      runs SCRIPT with sh, reads what it prints, and prints how long that took, in nanoseconds
//	standin time N HOOK      prints the median time of N runs of HOOK on a malformed message, in nanoseconds
//
// "step" reads one line, a runner.Step as JSON, and after it a tar that is
// unpacked into the work folder. The hook's output goes to standard output as
// it comes, the runner.Report as JSON to standard error at the end. The exit
// code is 0 whenever there is a report, whatever the hook's was. Both are kept
// below the temporary directory for "show": on a busy node an exec may end
// before all of its output has arrived.
package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"kiln/e2e/runner"
)

// workFolder is the runner's usual one, or STANDIN_WORK_FOLDER.
func workFolder() runner.WorkFolder {
	return runner.WorkFolder(cmp.Or(os.Getenv("STANDIN_WORK_FOLDER"), "/home/runner/_work"))
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "standin:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	switch {
	case slices.Equal(args, []string{"wait"}):
		<-ctx.Done()
		return nil
	case slices.Equal(args, []string{"step"}):
		return step(ctx)
	case len(args) == 2 && args[0] == "show":
		return errors.Join(printFile(kept(args[1], "json")), printFile(kept(args[1], "log")))
	case len(args) >= 2 && args[0] == "memory":
		return memory("status", "VmRSS", args[1:])
	case len(args) >= 2 && args[0] == "proportional":
		return memory("smaps_rollup", "Pss", args[1:])
	case len(args) == 3 && args[0] == "keep-tags":
		return keepTags(ctx, args[1], args[2])
	case len(args) == 2 && args[0] == "fork":
		return fork(ctx, args[1])
	case len(args) == 3 && args[0] == "time":
		return startTime(ctx, args[1], args[2])
	}
	return fmt.Errorf("unknown arguments %q", args)
}

func step(ctx context.Context) error {
	in := bufio.NewReader(os.Stdin)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read step: %w", err)
	}
	var s runner.Step
	if err := json.Unmarshal(line, &s); err != nil {
		return fmt.Errorf("read step: %w", err)
	}
	if err := workFolder().Unpack(in); err != nil {
		return err
	}
	log, err := os.Create(kept(s.ID, "log"))
	if err != nil {
		return fmt.Errorf("keep log: %w", err)
	}
	out := io.MultiWriter(log, os.Stdout)
	if s.Quiet {
		out = io.Discard
	}
	report, err := workFolder().Run(ctx, hookOf(s), s, out)
	if err = errors.Join(err, log.Close()); err != nil {
		return err
	}
	text, err := json.Marshal(report)
	if err != nil {
		return fmt.Errorf("encode report: %w", err)
	}
	text = append(text, '\n')
	if err := os.WriteFile(kept(s.ID, "json"), text, 0o600); err != nil {
		return fmt.Errorf("keep report: %w", err)
	}
	_, err = os.Stderr.Write(text)
	return err
}

// hookOf is the script that the step runs.
func hookOf(s runner.Step) string {
	if s.Command == runner.JobStarted {
		return os.Getenv("ACTIONS_RUNNER_HOOK_JOB_STARTED")
	}
	return os.Getenv("ACTIONS_RUNNER_CONTAINER_HOOKS")
}

// kept is where a step's log or report is kept.
func kept(id, kind string) string {
	return filepath.Join(os.TempDir(), "standin-"+id+"."+kind)
}

func printFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(os.Stdout, f)
	return errors.Join(err, f.Close())
}

// memory adds up a field of a file in /proc of every process of those names that this
// container can see, which takes a pod with a shared process namespace.
func memory(file, field string, names []string) error {
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return err
	}
	total, found := int64(0), 0
	for _, process := range processes {
		status, err := os.ReadFile(filepath.Join(process, "status"))
		if err != nil {
			continue // the process has ended
		}
		if !slices.Contains(names, statusField(string(status), "Name")) {
			continue
		}
		data, err := os.ReadFile(filepath.Join(process, file))
		if err != nil {
			return fmt.Errorf("read memory: %w", err)
		}
		kib, err := strconv.ParseInt(strings.TrimSuffix(statusField(string(data), field), " kB"), 10, 64)
		if err != nil {
			return fmt.Errorf("read %s/%s: %w", process, file, err)
		}
		total += kib << 10
		found++
	}
	if found == 0 {
		return fmt.Errorf("no process of %q in sight", names)
	}
	fmt.Println(total)
	return nil
}

func statusField(status, name string) string {
	for line := range strings.Lines(status) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// fork runs a script as the worker runs one of a job without a container: beside
// itself, with its output by a pipe. The output is hashed, as that of a hook is.
func fork(ctx context.Context, script string) error {
	cmd := exec.CommandContext(ctx, "bash", "-ec", script)
	sum := sha256.New()
	cmd.Stdout = sum
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run %s: %w", script, err)
	}
	fmt.Println(int64(time.Since(start)))
	return nil
}

func startTime(ctx context.Context, rounds, hook string) error {
	n, err := strconv.Atoi(rounds)
	if err != nil || n < 1 {
		return fmt.Errorf("rounds %q is not a positive number", rounds)
	}
	took := make([]time.Duration, 0, n)
	for range n {
		cmd := exec.CommandContext(ctx, hook)
		cmd.Stdin = strings.NewReader("{\n")
		start := time.Now()
		err := cmd.Run()
		took = append(took, time.Since(start))
		// A malformed message has to fail, and only by an exit code.
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
			return fmt.Errorf("run %s on a malformed message: got %w, want an exit code", hook, err)
		}
	}
	slices.Sort(took)
	fmt.Println(int64(took[n/2]))
	return nil
}
