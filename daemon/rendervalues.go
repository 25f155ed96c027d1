package main

import (
	"fmt"
	"io"

	"kiln/internal/scaleset"
)

// renderValuesCommand prints what a runner scale set needs to run kiln.
type renderValuesCommand struct {
	Mode             string   `help:"sealed, or kubernetes for a scale set with that container mode." default:"sealed"`
	Image            string   `help:"kiln's image with registry and tag." required:""`
	ImagePullSecret  []string `help:"Secret with which the nodes pull kiln's image; the pods of builds and of actions inherit it. May be given again." placeholder:"NAME"`
	RunnerImage      string   `help:"Image of the runner container." default:"${runner_image}"`
	Delegate         string   `help:"Path of the stock hook in the runner's image, for mode kubernetes." default:"${delegate}"`
	Handle           string   `help:"What kiln serves in mode kubernetes: all container steps; dockerfile, to leave those with a ready image to the stock hook; or job, whole jobs." default:"${handle}"`
	RegistrySecret   string   `help:"Secret of the registry's credentials in the namespace of the runners; empty for a registry that wants none." default:"kiln-registry"`
	PullSecret       string   `help:"Another such Secret for pulls of base images."`
	CAConfigMap      string   `name:"ca-configmap" help:"ConfigMap whose key ca.crt has further certificate authorities for registries."`
	IdentityAudience string   `help:"What the token of KILN_IDENTITY is for: sts.amazonaws.com, api://AzureADTokenExchange, or https://iam.googleapis.com/ and the provider. Default: no token." placeholder:"AUDIENCE"`
	HTTPProxy        string   `name:"http-proxy" help:"URL of the proxy for HTTP, without a user." placeholder:"URL"`
	HTTPSProxy       string   `name:"https-proxy" help:"URL of the proxy for HTTPS, without a user." placeholder:"URL"`
	ProxySecret      string   `help:"Secret whose keys HTTP_PROXY and HTTPS_PROXY have the URLs, in place of both."`
	NoProxy          []string `help:"Host, domain or range that is reached without a proxy, besides the cluster. May be given again." placeholder:"HOST"`
	CPURequest       string   `name:"cpu-request" help:"CPU request of kiln's containers." default:"${cpu_request}"`
	CPULimit         string   `name:"cpu-limit" help:"CPU limit of kiln's containers. Default: none."`
	MemoryRequest    string   `help:"Memory request of kiln's containers." default:"${memory_request}"`
	MemoryLimit      string   `help:"Memory limit of kiln's containers, or none." default:"${memory_limit}"`
	StorageClass     string   `help:"Storage class of the work volume. Default: the cluster's."`
	AccessMode       string   `help:"Access mode of the work volume: ReadWriteOnce, or ReadWriteMany for KILN_PLACEMENT=anywhere." default:"${access_mode}"`
	WorkSize         string   `help:"Size of the work volume." default:"${work_size}"`
	ServerSide       bool     `help:"Print the AutoscalingRunnerSet for kubectl apply --server-side, in place of values for Helm."`
	ScaleSet         string   `help:"Name of the scale set, with --server-side."`
	Namespace        string   `help:"Namespace of the scale set, with --server-side." short:"n"`
}

// Run prints the overlay to stdout.
func (c *renderValuesCommand) Run(stdout io.Writer) error {
	settings := scaleset.Settings{
		Mode:             c.Mode,
		Image:            c.Image,
		ImagePullSecrets: c.ImagePullSecret,
		RunnerImage:      c.RunnerImage,
		Delegate:         c.Delegate,
		Handle:           c.Handle,
		RegistrySecret:   c.RegistrySecret,
		PullSecret:       c.PullSecret,
		CAConfigMap:      c.CAConfigMap,
		IdentityAudience: c.IdentityAudience,
		Proxy:            scaleset.Proxy{HTTP: c.HTTPProxy, HTTPS: c.HTTPSProxy, Secret: c.ProxySecret, No: c.NoProxy},
		Resources: scaleset.Resources{
			CPURequest: c.CPURequest, CPULimit: c.CPULimit,
			MemoryRequest: c.MemoryRequest, MemoryLimit: c.MemoryLimit,
		},
		StorageClass: c.StorageClass,
		AccessMode:   c.AccessMode,
		WorkSize:     c.WorkSize,
	}
	text, err := c.render(settings)
	if err != nil {
		return fmt.Errorf("render-values: %w", err)
	}
	_, err = io.WriteString(stdout, text)
	return err
}

func (c *renderValuesCommand) render(settings scaleset.Settings) (string, error) {
	if c.ServerSide {
		return scaleset.Apply(settings, c.ScaleSet, c.Namespace)
	}
	return scaleset.Values(settings)
}
