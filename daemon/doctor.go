package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"kiln/internal/doctor"
	"kiln/internal/podrun"
	"kiln/internal/registry"
)

const doctorName = "doctor"

// errFaults says that the installation has faults, which the report tells.
var errFaults = errors.New("the installation has faults")

// doctorLine is the command line of doctor, which reports wrong variables of the
// daemon and must not fail for them.
type doctorLine struct {
	Doctor doctorCommand `cmd:""`
}

// doctorCommand examines an installation.
type doctorCommand struct {
	Namespace  string        `help:"Namespace of the runners, when not in a kiln container. Default: that of the kubeconfig's context." short:"n"`
	Kubeconfig string        `help:"Path of the kubeconfig, when not in a kiln container. Default: as kubectl has it." type:"path"`
	Context    string        `help:"Context of the kubeconfig."`
	Output     string        `help:"table, or json for programs." enum:"table,json" default:"table" short:"o"`
	Patience   time.Duration `help:"How long a node may take to pull an image." default:"2m"`
}

// Help is what `kilnd doctor --help` says besides.
func (doctorCommand) Help() string {
	return "In the kiln container of a runner pod: kubectl exec POD -c kiln -- /kilnd doctor. " +
		"Elsewhere, with a kubeconfig: kilnd doctor --namespace runners. " +
		"It ends with 0 where there is no fault, with 1 where there is one, and with 2 where it cannot look."
}

// Run examines and writes the report to stdout.
func (c *doctorCommand) Run(ctx context.Context, stdout io.Writer) error {
	options, err := c.options(ctx)
	if err != nil {
		return fmt.Errorf("doctor: %w", err)
	}
	found, err := doctor.Run(ctx, options)
	if err != nil {
		return fmt.Errorf("doctor: %w", err)
	}
	write := found.Table
	if c.Output == "json" {
		write = found.JSON
	}
	if err := write(stdout); err != nil {
		return fmt.Errorf("doctor: write the report: %w", err)
	}
	if found.Faults > 0 {
		return errFaults
	}
	return nil
}

// options finds out where this process is: flags that name a cluster mean one
// that is seen from outside.
func (c *doctorCommand) options(ctx context.Context) (doctor.Options, error) {
	outside := c.Namespace+c.Kubeconfig+c.Context != ""
	if !outside && os.Getenv("KUBERNETES_SERVICE_HOST") != "" {
		return c.inside()
	}
	const advice = "run it in the kiln container of a runner pod, or name a cluster with --kubeconfig and --context"
	cluster, namespace, err := podrun.Kubeconfig(c.Kubeconfig, c.Context, c.Namespace)
	if err != nil {
		return doctor.Options{}, fmt.Errorf("there is no cluster to look at: %w: %s", err, advice)
	}
	o := doctor.Options{Place: doctor.Outside, Cluster: cluster, Namespace: namespace, Patience: c.Patience}
	if err := doctor.Reach(ctx, cluster); err != nil {
		return doctor.Options{}, fmt.Errorf("the cluster %s does not answer: %w: %s", cluster.Host, err, advice)
	}
	return o, nil
}

// inside are the options in the kiln container. Without a token the cluster
// answers nothing, which the report tells.
func (c *doctorCommand) inside() (doctor.Options, error) {
	env := environment(os.Environ())
	cluster, namespace, err := podrun.InCluster(env["KILN_NAMESPACE"])
	if err != nil {
		return doctor.Options{}, err
	}
	// A wrong value, which the report tells, allows nothing.
	logins, _ := registry.ParsePlainLogins(strings.Split(env["KILN_PLAIN_LOGIN"], ","))
	cluster.Proxy = logins.Proxy(http.ProxyFromEnvironment)
	return doctor.Options{
		Place: doctor.Sidecar, Cluster: cluster, Namespace: namespace,
		PodName: env["KILN_POD_NAME"], Env: env, Patience: c.Patience,
	}, nil
}

// environment takes "NAME=value" apart.
func environment(list []string) map[string]string {
	env := make(map[string]string, len(list))
	for _, entry := range list {
		name, value, _ := strings.Cut(entry, "=")
		env[name] = value
	}
	return env
}
