// Package registries runs the two image registries that stand beside the
// cluster's nodes as containers, one without and one with basic auth, and
// fills the first.
//
// Pods and nodes reach them under their container names, by the engine's own
// DNS; this machine reaches them on a port of 127.0.0.1. What is in them is
// gone when the container is.
package registries

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"kiln/e2e/cluster/internal/command"
)

// Port is the one that every registry listens on, in its container.
const Port = "5000"

// Network is the engine's network that kind puts its nodes on. kind takes it as
// it finds it.
const Network = "kind"

// Registry is one registry container.
type Registry struct {
	// Name is the container's name and the host name for pods and nodes.
	Name string
	// Cluster labels the container, for finding what belongs to a cluster.
	Cluster string
	// User and Password are what it asks for; empty means it asks for nothing.
	User, Password string
}

// label marks the containers of a cluster.
const label = "kiln.build/cluster"

// Address is the registry's address for pods and nodes.
func (r Registry) Address() string { return r.Name + ":" + Port }

// Load hands an image to the Docker engine under a tag.
func Load(ctx context.Context, img v1.Image, tag, scratch string) error {
	ref, err := name.NewTag(tag)
	if err != nil {
		return fmt.Errorf("name image: %w", err)
	}
	archive := filepath.Join(scratch, "load.tar")
	if err := tarball.WriteToFile(archive, ref, img); err != nil {
		return fmt.Errorf("write image archive: %w", err)
	}
	return command.Run(ctx, command.Options{}, "docker", "load", "--quiet", "--input", archive)
}

// Start runs the registry's container from an image that the engine has, in
// place of any container of that name.
func (r Registry) Start(ctx context.Context, image string) error {
	if err := Remove(ctx, r.Name); err != nil {
		return err
	}
	args := []string{
		"run", "--detach", "--name", r.Name, "--hostname", r.Name, "--network", Network,
		"--label", label + "=" + r.Cluster, "--publish", "127.0.0.1::" + Port,
	}
	var env []string
	if r.User != "" { // by name, so that the password is in no argument list
		args = append(args, "--env", "REGISTRY_USER", "--env", "REGISTRY_PASSWORD")
		env = []string{"REGISTRY_USER=" + r.User, "REGISTRY_PASSWORD=" + r.Password}
	}
	return command.Run(ctx, command.Options{Env: env}, "docker", append(args, image)...)
}

// EnsureNetwork makes the nodes' network if the engine does not have it: the
// registries are there before kind is.
func EnsureNetwork(ctx context.Context) error {
	if _, err := command.Output(ctx, "docker", "network", "inspect", "--format", "{{.Id}}", Network); err == nil {
		return nil
	}
	return command.Run(ctx, command.Options{}, "docker", "network", "create", "--driver", "bridge",
		"--opt", "com.docker.network.bridge.enable_ip_masquerade=true", Network)
}

// RemoveNetwork removes the nodes' network unless something is on it.
func RemoveNetwork(ctx context.Context) error {
	out, err := command.Output(ctx, "docker", "network", "inspect", "--format", "{{len .Containers}}", Network)
	if err != nil || out != "0" {
		return nil //nolint:nilerr // it is not there, or in use
	}
	return command.Run(ctx, command.Options{}, "docker", "network", "rm", Network)
}

// Published is the registry's address for this machine.
func (r Registry) Published(ctx context.Context) (string, error) {
	out, err := command.Output(ctx, "docker", "port", r.Name, Port+"/tcp")
	if err != nil {
		return "", err
	}
	address, _, _ := strings.Cut(out, "\n")
	return address, nil
}

// Running lists the names of the cluster's registries that run.
func Running(ctx context.Context, cluster string) ([]string, error) {
	out, err := command.Output(ctx, "docker", "ps", "--filter", "label="+label+"="+cluster, "--format", "{{.Names}}")
	return strings.Fields(out), err
}

// Remove removes a container with its volumes; one that is not there is no
// error.
func Remove(ctx context.Context, container string) error {
	out, err := command.Output(ctx, "docker", "ps", "--all", "--format", "{{.Names}}")
	if err != nil || !slices.Contains(strings.Fields(out), container) {
		return err
	}
	return command.Run(ctx, command.Options{}, "docker", "rm", "--force", "--volumes", container)
}

// Push writes an image to a registry without auth at address, under
// repository:tag. It waits for a registry that is just starting.
func Push(ctx context.Context, address, repository string, img v1.Image) error {
	ref, err := name.NewTag(address+"/"+repository, name.Insecure)
	if err != nil {
		return fmt.Errorf("name image: %w", err)
	}
	if err := remote.Write(ref, img, remote.WithContext(ctx), remote.WithJobs(2)); err != nil {
		return fmt.Errorf("push %s: %w", ref, err)
	}
	return nil
}

// Await returns when the registry at address answers anything at all, also
// that it wants authentication.
func Await(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		err := ping(ctx, address)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("registry %s does not answer: %w", address, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func ping(ctx context.Context, address string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/v2/", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	return response.Body.Close()
}

// Has says whether a registry without auth holds repository:tag.
func Has(ctx context.Context, address, repository string) bool {
	ref, err := name.NewTag(address+"/"+repository, name.Insecure)
	if err != nil {
		return false
	}
	_, err = remote.Head(ref, remote.WithContext(ctx))
	return err == nil
}

// Hosts is the hosts.toml with which containerd speaks plain HTTP to address
// (https://github.com/containerd/containerd/blob/main/docs/hosts.md). When
// origin is not empty, address is a mirror of it and origin the fallback.
func Hosts(address, origin string) string {
	var text strings.Builder
	if origin != "" {
		fmt.Fprintf(&text, "server = %q\n\n", origin)
	}
	fmt.Fprintf(&text, "[host.%q]\n  capabilities = [\"pull\", \"resolve\"]\n", "http://"+address)
	return text.String()
}

// Copy takes an image for this machine's platform from a registry that is in
// reach and writes it to a registry without auth.
func Copy(ctx context.Context, from, address, repository string, platform v1.Platform) error {
	ref, err := name.ParseReference(from)
	if err != nil {
		return fmt.Errorf("name image: %w", err)
	}
	img, err := remote.Image(ref, remote.WithContext(ctx), remote.WithPlatform(platform))
	if err != nil {
		return fmt.Errorf("pull %s: %w", from, err)
	}
	return Push(ctx, address, repository, img)
}
