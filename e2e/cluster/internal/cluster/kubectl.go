package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// Kubectl replaces this process by kubectl with the cluster's kubeconfig: the
// machine's own if it has one, else the one that the node image was made with,
// else, in place of files of this machine, the one inside the node.
func (c *Cluster) Kubectl(ctx context.Context, args []string) error {
	if _, err := c.loadState(); err != nil {
		return fmt.Errorf("cluster %s is not running: %w", c.Name, err)
	}
	env := append(os.Environ(), "KUBECONFIG="+c.Kubeconfig())
	path, err := exec.LookPath("kubectl")
	if err != nil {
		path, _ = c.maker().KubernetesCached(ctx)
	}
	if path != "" {
		return syscall.Exec(path, append([]string{"kubectl"}, args...), env)
	}
	docker, err := exec.LookPath("docker")
	if running, _ := c.useEngine(ctx); err != nil || !running {
		return errors.New("no kubectl is in PATH and no Docker engine is running")
	}
	inside := append([]string{"docker", "exec", "-i", c.controlPlane(), "kubectl", "--kubeconfig=/etc/kubernetes/admin.conf"}, args...)
	return syscall.Exec(docker, inside, os.Environ())
}
