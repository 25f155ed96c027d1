// Command demo shows one container action from the runner's hook to its
// result on a real cluster: the step's log as its author sees it, the outputs
// read back in the runner container, what took how long, and where to look.
//
//	go run ./e2e/demo [--debug] [--with name=value]... [DIRECTORY]
//
// DIRECTORY holds the action, examples/actions/hello-shell by default. The
// environment is that of package harness; hack/with-cluster sets it for the
// local cluster. The runner pod stays in its namespace, so that a second run
// begins at once, and so that there is something to look at.
//
// The exit code is the step's; 1 also when the demo itself went wrong.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"kiln/e2e/harness"
)

// namespace is the demo's own.
const namespace = "kiln-demo"

// cli is the command line.
type cli struct {
	With      map[string]string `help:"Inputs of the action." mapsep:"none"`
	Debug     bool              `help:"Run the step as with debug logging switched on."`
	Directory string            `arg:"" optional:"" help:"Directory of the action."`
}

func main() {
	var args cli
	kong.Parse(&args, kong.Description("Shows one container action on the cluster."))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	code, err := run(ctx, args, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		code = 1
	}
	os.Exit(code)
}

func run(ctx context.Context, args cli, w io.Writer) (code int, err error) {
	cluster, err := harness.Connect()
	if err != nil {
		return 0, err
	}
	if args.Directory == "" {
		args.Directory = filepath.Join(cluster.Root, "examples", "actions", "hello-shell")
	}
	action, err := harness.ReadAction(args.Directory)
	if err != nil {
		return 0, err
	}
	runner, err := prepare(ctx, cluster, w)
	if err != nil {
		return 0, err
	}
	seen, err := cluster.Observe(ctx, namespace)
	if err != nil {
		return 0, err
	}
	defer seen.Stop()

	use := harness.Use{Uses: "acme/" + filepath.Base(args.Directory) + "@v1", With: args.With}
	files, err := action.Files(use)
	if err != nil {
		return 0, err
	}
	// What a checkout would have put into the workspace.
	readme, err := os.ReadFile(filepath.Join(cluster.Root, "README.md"))
	if err != nil {
		return 0, fmt.Errorf("read workspace file: %w", err)
	}
	files["app/app/README.md"] = harness.File{Data: readme}
	began := time.Now()
	show := show{w: w, runner: runner, action: action, use: use, files: files, debug: args.Debug}
	results, err := show.play(ctx)
	if err != nil {
		return 0, err
	}
	showResults(w, results)
	showPhases(w, phases(seen, began), results)
	showWayAround(w, cluster)
	return results[len(results)-1].ExitCode, nil
}

// prepare sets up the namespace and the runner pod, and says what it does.
func prepare(ctx context.Context, cluster *harness.Cluster, w io.Writer) (*harness.Runner, error) {
	fmt.Fprintf(w, "Cluster %s, registry %s\n", cluster.Config.Host, cluster.Registry)
	began := time.Now()
	images, err := cluster.BuildImages(ctx)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(w, "  %6.1fs  images of kiln and of the runner stand-in compiled and pushed\n", time.Since(began).Seconds())
	began = time.Now()
	if err := cluster.Namespace(ctx, namespace); err != nil {
		return nil, err
	}
	runner, reused, err := cluster.EnsureRunner(ctx, namespace, harness.PodOptions{
		Name: "runner", Images: images, RegistryHost: cluster.Registry + "/" + namespace,
	})
	if err != nil {
		dump(cluster, w)
		return nil, err
	}
	how := "started"
	if reused {
		how = "still running"
	}
	fmt.Fprintf(w, "  %6.1fs  runner pod %s/%s %s: hook shim installed, kiln beside it\n",
		time.Since(began).Seconds(), namespace, runner.Pod, how)
	return runner, nil
}

// dump shows why a runner pod did not start. The caller's context may be over.
func dump(cluster *harness.Cluster, w io.Writer) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	cluster.Dump(ctx, namespace, w)
}

// show is an action that is played in the runner pod.
type show struct {
	w      io.Writer
	runner *harness.Runner
	action *harness.Action
	use    harness.Use
	files  harness.Files
	debug  bool
}

// play runs the action's stages one after the other, as far as they succeed,
// and shows their logs.
func (s show) play(ctx context.Context) ([]*harness.Result, error) {
	suffix := map[harness.Stage]string{harness.Pre: " (pre)", harness.Post: " (post)"}
	var results []*harness.Result
	state := map[string]string{}
	for _, stage := range s.action.Stages(s.use) {
		step := s.action.Step(stage, s.use)
		for name, value := range state {
			step.Env["STATE_"+name] = value
		}
		if s.debug {
			step.HookEnv = map[string]string{"RUNNER_DEBUG": "1"}
		}
		fmt.Fprintf(s.w, "\nuses: %s%s\n", s.use.Uses, suffix[stage])
		log := &stepLog{w: s.w}
		result, err := s.runner.Step(ctx, step, s.files, log)
		if err = errors.Join(err, log.end()); err != nil {
			return nil, err
		}
		maps.Copy(state, result.State)
		results = append(results, result)
		if result.ExitCode != 0 {
			break
		}
	}
	return results, nil
}
