package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
)

// conflist is the network configuration that the container runtime reads.
const conflist = "/etc/cni/net.d/10-kiln.conflist"

// network writes this node's pod network and routes to those of the others.
type network struct {
	client kubernetes.Interface
	node   string
}

func (n network) run(ctx context.Context) error {
	return settle(ctx, n.watch, n.reconcile)
}

func (n network) watch(ctx context.Context) ([]watch.Interface, error) {
	w, err := n.client.CoreV1().Nodes().Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("watch nodes: %w", err)
	}
	return []watch.Interface{w}, nil
}

func (n network) reconcile(ctx context.Context) error {
	nodes, err := n.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	var errs []error
	for _, node := range nodes.Items {
		subnet, address := node.Spec.PodCIDR, internalAddress(node)
		switch {
		case subnet == "" || address == "":
		case node.Name == n.node:
			errs = append(errs, configure(conflist, subnet))
		default:
			errs = append(errs, route(ctx, subnet, address))
		}
	}
	return errors.Join(errs...)
}

func internalAddress(node corev1.Node) string {
	for _, address := range node.Status.Addresses {
		if address.Type == corev1.NodeInternalIP {
			return address.Address
		}
	}
	return ""
}

// configure writes the bridge network of one node, once: the runtime reads the
// directory again at every change.
func configure(path, subnet string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	config, err := json.Marshal(bridgeNetwork(subnet))
	if err != nil {
		return fmt.Errorf("encode pod network: %w", err)
	}
	tmp := path + ".tmp" // not a name the runtime reads
	if err := os.WriteFile(tmp, config, 0o644); err != nil {
		return fmt.Errorf("write pod network: %w", err)
	}
	return os.Rename(tmp, path)
}

// bridgeNetwork is a network configuration list of the plugins bridge,
// host-local and portmap (https://www.cni.dev/plugins/current/), in the version
// that Debian's plugins speak.
func bridgeNetwork(subnet string) map[string]any {
	return map[string]any{
		"cniVersion": "0.4.0",
		"name":       "kiln",
		"plugins": []map[string]any{
			{
				"type": "bridge", "bridge": "cni0",
				"isGateway": true, "ipMasq": true, "hairpinMode": true,
				"ipam": map[string]any{
					"type":   "host-local",
					"ranges": [][]map[string]string{{{"subnet": subnet}}},
					"routes": []map[string]string{{"dst": "0.0.0.0/0"}},
				},
			},
			{"type": "portmap", "capabilities": map[string]bool{"portMappings": true}},
		},
	}
}

// route sends a node's pod subnet to that node.
func route(ctx context.Context, subnet, via string) error {
	out, err := exec.CommandContext(ctx, "ip", "route", "replace", subnet, "via", via).CombinedOutput()
	if err != nil {
		return fmt.Errorf("route %s via %s: %w: %s", subnet, via, err, out)
	}
	return nil
}
