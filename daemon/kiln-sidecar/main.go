// Command kiln-sidecar is the first process of the kiln container of a runner
// pod, and its postStart hook. It stays as small as it can: every runner pod has
// one for as long as it lives.
//
//	kiln-sidecar run [--install=DIR] [ARGUMENT...]
//	kiln-sidecar ready [--exchange=DIR] [--wait=TIME] [--patience=TIME]
//	kiln-sidecar forward SOCKET
//
// run puts the hook on the volume at DIR, then supervises `kilnd worker` with the
// arguments, those of `kilnd run`; package supervisor says what it guarantees.
// ready is the same as `kilnd ready`. forward is the worker's own: it forwards the ports
// of a job's services, as package forwarder says.
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"go.uber.org/zap"

	"kiln/internal/forwarder"
	"kiln/internal/install"
	"kiln/internal/operatorlog"
	"kiln/internal/readiness"
	"kiln/internal/supervisor"
)

func main() {
	if err := execute(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "kiln-sidecar:", err)
		os.Exit(1)
	}
}

// execute runs one command line.
func execute(args []string) error {
	switch {
	case len(args) > 0 && args[0] == "run":
		return run(args[1:])
	case len(args) > 0 && args[0] == "ready":
		return ready(args[1:])
	case len(args) == 2 && args[0] == forwarder.Command:
		return forwarder.Serve(os.Stdin, os.Stdout, args[1])
	}
	return errors.New("usage: kiln-sidecar run [--install=DIR] [argument of kilnd run ...], or kiln-sidecar ready")
}

// run installs the hook and supervises. A hook that cannot be installed ends
// nothing: a sidecar that exits keeps its runner from every job.
func run(args []string) error {
	log, err := operatorlog.New(os.Getenv("KILN_LOG_LEVEL"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Sync() }()
	own, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the worker's program: %w", err)
	}
	dir, rest := install.Destination(args)
	if dir != "" {
		if err := install.Hook(dir); err != nil {
			log.Error("the runner has no hook until this is mended", zap.Error(err))
		}
	}
	supervisor.Sidecar(filepath.Join(filepath.Dir(own), "kilnd"), rest, log)
	return nil
}

// ready asks whether the exchange is served.
func ready(args []string) error {
	var probe readiness.Probe
	flags := flag.NewFlagSet("kiln-sidecar ready", flag.ContinueOnError)
	flags.StringVar(&probe.Exchange, "exchange", cmp.Or(os.Getenv("KILN_EXCHANGE"), "/var/run/kiln"), "`directory` shared with the runner container")
	flags.DurationVar(&probe.Wait, "wait", 0, "how long to wait for it")
	flags.DurationVar(&probe.Patience, "patience", 0, "succeed in any case once the container's first process is that old; 0 is never")
	if err := flags.Parse(args); err != nil {
		return err
	}
	message, err := probe.Ask()
	if err != nil {
		return err
	}
	_, err = fmt.Println(message)
	return err
}
