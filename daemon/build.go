package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
	"k8s.io/klog/v2"

	"kiln/internal/config"
	"kiln/internal/operatorlog"
	"kiln/internal/shellbuild"
)

// buildName is the command that builds from a shell.
const buildName = "build"

// buildSettings are the daemon's settings without their method Validate, which
// kong would call: what a build needs of them is known once the namespace of the
// runners was asked.
type buildSettings config.Settings

// buildCommand builds one Dockerfile's directory, as a step would.
type buildCommand struct {
	Daemon buildSettings `embed:""`

	Dir        string `arg:"" help:"Directory with the Dockerfile; - is a tar of it on standard input."`
	Dockerfile string `help:"Name of the Dockerfile in it." default:"Dockerfile"`
	Workspace  string `help:"Checkout that the directory belongs to: names the image as a job of that repository does. Default: the one that holds the directory."`
	Kubeconfig string `help:"File that says where the cluster is. Default: what kubectl takes, or the service account of a kiln container."`
	Context    string `help:"Context of the kubeconfig."`
	Image      string `help:"kiln's image, for the gate of the build. Default: that of the runners of the namespace." env:"KILN_IMAGE"`
	Check      bool   `help:"Only say what kiln refuses and warns of. Needs neither cluster nor registry."`
	Debug      bool   `help:"Show Kaniko's own log."`
	LogLevel   string `help:"Of what is for operators, on standard error: debug, info, warn or error." default:"error" env:"KILN_LOG_LEVEL"`
}

// Run builds until ctx ends.
func (c *buildCommand) Run(ctx context.Context, stdout io.Writer, args []string) error {
	log, err := operatorlog.New(c.LogLevel)
	if err != nil {
		return err
	}
	defer func() { _ = log.Sync() }()
	klog.SetLogger(operatorlog.Kubernetes(log))
	// A terminal that closes cancels the build, and a reader that has gone is
	// told by the write: neither may end the process before it has cleaned up.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP)
	defer stop()
	err = shellbuild.Run(ctx, shellbuild.Options{
		Dir: c.Dir, Dockerfile: c.Dockerfile, Workspace: c.Workspace,
		Kubeconfig: c.Kubeconfig, Context: c.Context, Image: c.Image,
		Check: c.Check, Debug: c.Debug,
		Settings: (*config.Settings)(&c.Daemon),
		Refine: func(values map[string]string) (*config.Settings, error) {
			return refine(args, values)
		},
		Stdin: os.Stdin, Stdout: stdout,
		Log: log,
	})
	if _, ok := errors.AsType[*shellbuild.UsageError](err); err == nil || ok {
		return err
	}
	return &buildError{err}
}

// buildError is why a build failed, or could not be begun, though it was asked
// for properly.
type buildError struct{ error }

// Unwrap returns the reason.
func (e *buildError) Unwrap() error { return e.error }

// refine reads the command line of a build again, with values in place of the
// defaults: flags and the environment win over them.
func refine(args []string, values map[string]string) (*config.Settings, error) {
	var line struct {
		Build buildCommand `cmd:""`
	}
	parser, err := kong.New(&line, variables(), config.Decimal(), kong.Resolvers(kong.ResolverFunc(
		func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
			for _, name := range flag.Envs {
				if _, set := os.LookupEnv(name); set {
					return nil, nil
				}
				if value, ok := values[name]; ok {
					return value, nil
				}
			}
			return nil, nil
		})))
	if err != nil {
		return nil, fmt.Errorf("read the settings: %w", err)
	}
	_, err = parser.Parse(args)
	return (*config.Settings)(&line.Build.Daemon), err
}
