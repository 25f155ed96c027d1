// Command kilnd is kiln's daemon and its tools: the sidecar of a runner pod
// (run), the same build for a person at a shell (build), the program that puts
// the hook shim on a volume (install), the registry proxy of a build pod (gate),
// the writer of the values that a runner
// scale set needs (render-values), the question of the sidecar's postStart hook (ready), and
// the examination of an installation (doctor).
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"

	"kiln/internal/config"
	"kiln/internal/scaleset"
	"kiln/internal/shellbuild"
)

// version is set at link time.
var version = "dev"

// cli is the command line.
type cli struct {
	Run     runCommand     `cmd:"" help:"Serve the exchange: the sidecar of a runner pod."`
	Worker  workerCommand  `cmd:"" hidden:"" help:"Serve the exchange, under the supervision of run."`
	Install installCommand `cmd:"" help:"Copy the hook shim and what belongs to it to a volume."`
	Doctor  doctorCommand  `cmd:"" help:"Find what this installation gets wrong and say how to mend it."`
	Build   buildCommand   `cmd:"" help:"Build a Dockerfile's directory as a step would, from a shell."`
	Gate    gateCommand    `cmd:"" help:"Proxy a build pod's registry requests and add the credentials."`
	Ready   readyCommand   `cmd:"" help:"Tell whether the exchange is served, as the sidecar's postStart hook asks."`
	Version versionCommand `cmd:"" help:"Print the version."`

	RenderValues renderValuesCommand `cmd:"" help:"Print what a runner scale set needs to run kiln."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	os.Exit(execute(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// execute runs one command line and returns the exit code.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var line cli
	var grammar any = &line
	switch firstOf(args) {
	case readyName:
		grammar = new(readyLine)
	case doctorName:
		grammar = new(doctorLine)
	}
	exited := -1
	parser, err := kong.New(grammar,
		kong.Name("kilnd"),
		kong.Description("Builds and runs container actions that ship a Dockerfile."),
		variables(), config.Decimal(),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exited = code }),
		kong.Bind(args),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.BindTo(stdout, (*io.Writer)(nil)),
	)
	if err != nil {
		fmt.Fprintln(stderr, "kilnd:", err)
		return 2
	}
	command, err := parser.Parse(args)
	if exited >= 0 {
		return exited
	}
	switch first := firstOf(args); {
	case err != nil && first == "run":
		err = supervise(args, "info")
	case err != nil && first == workerName:
		// A sidecar that exits keeps its runner from every job, so it serves
		// and tells each step what is wrong.
		err = line.Worker.broken(ctx, err)
	case err == nil:
		err = command.Run()
	}
	if err != nil {
		return report(firstOf(args), err, stderr)
	}
	return 0
}

// variables are the defaults that the command line's help and flags show.
func variables() kong.Vars {
	return kong.Vars{
		"kaniko_image":   config.KanikoImage,
		"runner_image":   scaleset.DefaultRunnerImage,
		"delegate":       scaleset.DefaultDelegate,
		"handle":         scaleset.HandleAll,
		"work_size":      scaleset.DefaultWorkSize,
		"access_mode":    scaleset.DefaultAccessMode,
		"cpu_request":    scaleset.DefaultCPURequest,
		"memory_request": scaleset.DefaultMemoryRequest,
		"memory_limit":   scaleset.DefaultMemoryLimit,
	}
}

// report tells what went wrong, unless the command has, and returns the exit
// code. Of doctor 1 is an installation with a fault, and of build a build that
// failed or could not be begun; 2 is everything else, such as a wrong flag.
func report(command string, err error, stderr io.Writer) int {
	if errors.Is(err, errFaults) || errors.Is(err, shellbuild.ErrFailed) {
		return 1
	}
	fmt.Fprintln(stderr, "kilnd:", err)
	_, failed := errors.AsType[*buildError](err)
	if command == doctorName || command == buildName && !failed {
		return 2
	}
	return 1
}

// firstOf returns the command of a command line, or "".
func firstOf(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// versionCommand prints the version.
type versionCommand struct{}

// Run prints one line.
func (versionCommand) Run(stdout io.Writer) error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		_, err := fmt.Fprintln(stdout, version)
		return err
	}
	_, err := fmt.Fprintln(stdout, version, info.GoVersion)
	return err
}
