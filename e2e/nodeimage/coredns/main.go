// Command coredns is CoreDNS with the plugins that kubeadm's Corefile names,
// for kind nodes made where no container registry is in reach. It guarantees
// nothing beyond what CoreDNS does, and it is a module of its own because
// CoreDNS and Kubernetes pin different client libraries.
package main

import (
	"github.com/coredns/coredns/coremain"

	// The order in which plugins run is CoreDNS's own; these only register.
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/hosts"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/loadbalance"
	_ "github.com/coredns/coredns/plugin/log"
	_ "github.com/coredns/coredns/plugin/loop"
	_ "github.com/coredns/coredns/plugin/metrics"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/reload"
)

func main() { coremain.Run() }
