package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"

	"kiln/internal/cloudlogin"
	"kiln/internal/gate"
	"kiln/internal/registry"
	"kiln/internal/resolver"
)

// gateCommand is the registry proxy of one build pod.
type gateCommand struct {
	Listen       string   `help:"Address to serve the registry API at." default:"127.0.0.1:5001"`
	Push         string   `help:"The one reference that may be pushed: registry/repository:tag." required:""`
	Pull         []string `help:"An image that may be pulled." sep:"none"`
	Inspect      []string `help:"An image whose layers are looked through, in JSON." sep:"none"`
	Index        bool     `help:"Keep indexes of the layers that are pushed beside them."`
	IndexPulled  []string `help:"The digest of a layer whose index is kept where it is pulled." sep:"none"`
	Mirror       []string `help:"A mirror to ask first, as docker.io=mirror.example.com." sep:"none"`
	Insecure     []string `help:"A registry that is spoken to by plain HTTP." sep:"none"`
	PlainLogin   []string `help:"A host that a login may be sent to without TLS." sep:"none"`
	PullAllow    []string `help:"Repositories to pull from with credentials, as ghcr.io/acme/**; all if none is given." sep:"none"`
	DockerConfig string   `help:"File with the credentials, of the form of a Docker config.json." type:"path"`

	PullDockerConfig string `help:"The same for pulls; the other one is for pushing then." type:"path"`
	Identity         string `help:"Who logs in to the registry in place of a password, in JSON; empty for nobody."`
	CAFile           string `help:"File with certificate authorities besides the system's, in PEM form." type:"path"`
}

// Run serves until ctx ends.
func (c *gateCommand) Run(ctx context.Context, stdout io.Writer) error {
	mirrors, err := registry.ParseMirrors(c.Mirror)
	if err != nil {
		return err
	}
	allow, err := registry.ParseAllow(c.PullAllow)
	if err != nil {
		return err
	}
	var id cloudlogin.Identity
	if c.Identity != "" {
		if err := json.Unmarshal([]byte(c.Identity), &id); err != nil {
			return fmt.Errorf("read the identity: %w", err)
		}
	}
	// Before it listens, and so before the RUN steps, which can write the files.
	names, err := resolver.Read(resolver.HostsFile, resolver.NameServerFile)
	if err != nil {
		return err
	}
	var inspect []gate.Inspection
	for _, text := range c.Inspect {
		parsed, err := gate.ParseInspection(text)
		if err != nil {
			return err
		}
		inspect = append(inspect, parsed)
	}
	proxy, err := gate.New(gate.Config{
		Push:             c.Push,
		Pull:             c.Pull,
		Inspect:          inspect,
		Index:            c.Index,
		IndexPulled:      c.IndexPulled,
		Mirrors:          mirrors,
		Insecure:         c.Insecure,
		PlainLogin:       c.PlainLogin,
		DockerConfig:     c.DockerConfig,
		PullDockerConfig: c.PullDockerConfig,
		Identity:         id,
		Exchange:         cloudlogin.Run(cloudlogin.Beside(), os.Getenv),
		PullAllow:        allow,
		CAFile:           c.CAFile,
		Names:            resolver.New(names),
		Log:              stdout,
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	return proxy.Serve(ctx, listener)
}
