package main

import (
	"fmt"
	"io"

	"kiln/internal/overlay"
)

// renderValuesCommand prints what a runner scale set needs to run kiln.
type renderValuesCommand struct {
	Mode           string `help:"sealed, or kubernetes for a scale set with that container mode." default:"sealed"`
	Image          string `help:"kiln's image with registry and tag." required:""`
	RunnerImage    string `help:"Image of the runner container." default:"${runner_image}"`
	Delegate       string `help:"Path of the stock hook in the runner's image, for mode kubernetes." default:"${delegate}"`
	RegistrySecret string `help:"Secret of the registry's credentials in the namespace of the runners; empty for a registry that wants none." default:"kiln-registry"`
	CAConfigMap    string `name:"ca-configmap" help:"ConfigMap whose key ca.crt has further certificate authorities for registries."`
	StorageClass   string `help:"Storage class of the work volume. Default: the cluster's."`
	WorkSize       string `help:"Size of the work volume." default:"${work_size}"`
	ServerSide     bool   `help:"Print the AutoscalingRunnerSet for kubectl apply --server-side, in place of values for Helm."`
	ScaleSet       string `help:"Name of the scale set, with --server-side."`
	Namespace      string `help:"Namespace of the scale set, with --server-side." short:"n"`
}

// Run prints the overlay to stdout.
func (c *renderValuesCommand) Run(stdout io.Writer) error {
	settings := overlay.Settings{
		Mode:           c.Mode,
		Image:          c.Image,
		RunnerImage:    c.RunnerImage,
		Delegate:       c.Delegate,
		RegistrySecret: c.RegistrySecret,
		CAConfigMap:    c.CAConfigMap,
		StorageClass:   c.StorageClass,
		WorkSize:       c.WorkSize,
	}
	text, err := c.render(settings)
	if err != nil {
		return fmt.Errorf("render-values: %w", err)
	}
	_, err = io.WriteString(stdout, text)
	return err
}

func (c *renderValuesCommand) render(settings overlay.Settings) (string, error) {
	if c.ServerSide {
		return overlay.Apply(settings, c.ScaleSet, c.Namespace)
	}
	return overlay.Values(settings)
}
