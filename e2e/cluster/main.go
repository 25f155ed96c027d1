// Command kiln-cluster runs the local cluster of kiln's demo and end-to-end tests:
// kind, with registries and storage, on any machine with Docker and on a bare
// Debian machine without a container registry in reach.
//
// The state of the machine is in KILN_CLUSTER_DIR (default
// /var/lib/kiln-cluster), so it does not matter from which checkout it is run.
// KILN_KIND_NODE_IMAGE overrides the node image. README.md is its manual; its
// command line is all that scripts and tests know of it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"kiln/e2e/cluster/internal/cluster"
	"kiln/e2e/cluster/internal/progress"
	"kiln/e2e/cluster/internal/source"
)

const usage = `usage: kiln-cluster <command> [flags]

  up [--install] [--nodes N] [--retain]   start the cluster, or find it running
  down                                    remove it; what was built stays cached
  prepare [--install]                     build everything, start nothing
  parts [--install]                       make what builds are compared by, print it as shell exports
  status                                  exit 0 when it runs, 3 when it does not
  env                                     print what tests need as shell exports
  kubeconfig                              print the path of its kubeconfig
  kubectl ARGS                            run kubectl against it
  load FILE.tar...                        give image archives to every node
  load --registry REPOSITORY:TAG FILE.tar push an image archive to its registry

Every command takes --name NAME before its arguments (default kiln).
KILN_CLUSTER_DIR is the directory of all its files (default /var/lib/kiln-cluster),
KILN_KIND_NODE_IMAGE another image for the nodes.
`

// exitNotRunning is what status returns for a cluster that does not run.
const exitNotRunning = 3

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	code, err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "kiln-cluster:", err)
	}
	os.Exit(code)
}

// options are the flags of all commands; each uses its own.
type options struct {
	cluster.Config
	registry string
	args     []string
}

// run executes one command and returns the exit code: 0, 1 for a failure, 2
// for a wrong call, 3 for status of a cluster that does not run.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (int, error) {
	commands := map[string]func(context.Context, *cluster.Cluster, options, io.Writer) error{
		"up": up, "down": down, "prepare": prepare, "parts": comparison, "status": status, "env": env,
		"kubeconfig": kubeconfig, "kubectl": kubectl, "load": load,
	}
	if len(args) == 0 || commands[args[0]] == nil {
		fmt.Fprint(stderr, usage)
		if len(args) == 0 || args[0] == "help" || args[0] == "--help" || args[0] == "-h" {
			return 0, nil
		}
		return 2, fmt.Errorf("unknown command %q", args[0])
	}
	o, err := parse(args[0], args[1:], stderr)
	if err != nil {
		return 2, err
	}
	err = commands[args[0]](ctx, cluster.New(o.Config), o, stdout)
	switch {
	case err == nil:
		return 0, nil
	case args[0] == "status":
		return exitNotRunning, err
	default:
		return 1, err
	}
}

func parse(command string, args []string, stderr io.Writer) (options, error) {
	o := options{Config: cluster.Config{
		Dir:       cluster.DefaultDir,
		NodeImage: os.Getenv("KILN_KIND_NODE_IMAGE"),
		Progress:  progress.New(stderr),
	}}
	if dir := os.Getenv("KILN_CLUSTER_DIR"); dir != "" {
		o.Dir = dir
	}
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.Name, "name", cluster.DefaultName, "name of the cluster")
	flags.IntVar(&o.Nodes, "nodes", 1, "number of nodes")
	flags.BoolVar(&o.Install, "install", false, "install missing Debian packages")
	flags.BoolVar(&o.Retain, "retain", false, "keep the nodes of a cluster that fails to start")
	flags.StringVar(&o.registry, "registry", "", "push to the registry as REPOSITORY:TAG instead of loading into the nodes")
	own, rest := args, []string(nil)
	if command == "kubectl" {
		own, rest = splitName(args)
	}
	if err := flags.Parse(own); err != nil {
		return o, fmt.Errorf("%s: %w", command, err)
	}
	o.args = append(flags.Args(), rest...)
	if !filepath.IsAbs(o.Dir) {
		return o, fmt.Errorf("KILN_CLUSTER_DIR is %q: it must be an absolute path", o.Dir)
	}
	if o.Nodes < 1 {
		return o, fmt.Errorf("--nodes is %d: it must be at least 1", o.Nodes)
	}
	tree, err := source.Find()
	o.Tree = tree
	if err != nil && (command == "up" || command == "prepare" || command == "parts") { // the others build nothing
		return o, err
	}
	return o, nil
}

// splitName separates a leading --name from the arguments that are kubectl's
// own, flags included.
func splitName(args []string) (own, rest []string) {
	switch {
	case len(args) > 1 && (args[0] == "--name" || args[0] == "-name"):
		return args[:2], args[2:]
	case len(args) > 0 && (strings.HasPrefix(args[0], "--name=") || strings.HasPrefix(args[0], "-name=")):
		return args[:1], args[1:]
	case len(args) > 0 && args[0] == "--":
		return nil, args[1:]
	default:
		return nil, args
	}
}

func up(ctx context.Context, c *cluster.Cluster, _ options, stdout io.Writer) error {
	started, err := c.Up(ctx)
	if err != nil {
		return err
	}
	verb := "found"
	if started {
		verb = "started"
	}
	fmt.Fprintf(stdout, "%s cluster %s in %s\n", verb, c.Name, c.Progress.Elapsed())
	return nil
}

func down(ctx context.Context, c *cluster.Cluster, _ options, stdout io.Writer) error {
	if err := c.Down(ctx); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "removed cluster %s in %s\n", c.Name, c.Progress.Elapsed())
	return nil
}

func prepare(ctx context.Context, c *cluster.Cluster, _ options, stdout io.Writer) error {
	if err := c.Prepare(ctx); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "prepared in %s\n", c.Progress.Elapsed())
	return nil
}

func comparison(ctx context.Context, c *cluster.Cluster, _ options, stdout io.Writer) error {
	variables, err := c.Parts(ctx)
	if err != nil {
		return err
	}
	for _, v := range variables {
		fmt.Fprintln(stdout, v.Export())
	}
	return nil
}

func status(ctx context.Context, c *cluster.Cluster, _ options, stdout io.Writer) error {
	if err := c.Check(ctx); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "cluster %s is running\n", c.Name)
	return nil
}

func env(_ context.Context, c *cluster.Cluster, _ options, stdout io.Writer) error {
	variables, err := c.Env()
	for _, v := range variables {
		fmt.Fprintln(stdout, v.Export())
	}
	return err
}

func kubeconfig(_ context.Context, c *cluster.Cluster, _ options, stdout io.Writer) error {
	if _, err := os.Stat(c.Kubeconfig()); err != nil {
		return fmt.Errorf("cluster %s is not running: %w", c.Name, err)
	}
	fmt.Fprintln(stdout, c.Kubeconfig())
	return nil
}

func kubectl(ctx context.Context, c *cluster.Cluster, o options, _ io.Writer) error {
	return c.Kubectl(ctx, o.args)
}

func load(ctx context.Context, c *cluster.Cluster, o options, stdout io.Writer) error {
	if len(o.args) == 0 {
		return errors.New("load: name at least one image archive")
	}
	if o.registry != "" {
		if len(o.args) != 1 {
			return errors.New("load --registry: name exactly one image archive")
		}
		ref, err := c.Push(ctx, o.args[0], o.registry)
		if err == nil {
			fmt.Fprintln(stdout, ref)
		}
		return err
	}
	for _, archive := range o.args {
		if err := c.Load(ctx, archive); err != nil {
			return err
		}
	}
	return nil
}
