// Command nodeimage is every Kubernetes program that a kind node runs, in one
// static binary: the name it is called by selects the program, as busybox does
// it.
//
// It exists so that a kind node image can be made where no container registry
// is in reach: Kubernetes publishes its servers as Go packages, and the module
// proxy serves them. One binary holds what seven would each carry a copy of.
//
// It guarantees nothing beyond what the programs themselves do, and it is for
// test clusters only: it lives in a module of its own because the replace
// directives that k8s.io/kubernetes needs must not reach the product.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"          // --logging-format=json
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // client metrics
	_ "k8s.io/component-base/metrics/prometheus/version"  // version metric
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubeadm "k8s.io/kubernetes/cmd/kubeadm/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

func main() {
	name := filepath.Base(os.Args[0])
	if name == "etcd" {
		etcdmain.Main(os.Args)
		return
	}
	if name == "kubeadm" {
		if err := kubeadm.Run(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	program, ok := programs()[name]
	if !ok {
		fmt.Fprintf(os.Stderr, "%s is not a program of this binary; call it as kubelet, kubectl, kubeadm, etcd or a control-plane server\n", name)
		os.Exit(2)
	}
	os.Exit(cli.Run(program()))
}

// programs maps a program's name to the constructor of its command.
func programs() map[string]func() *cobra.Command {
	return map[string]func() *cobra.Command{
		"kube-apiserver":          apiserver.NewAPIServerCommand,
		"kube-controller-manager": controllermanager.NewControllerManagerCommand,
		"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
		"kube-proxy":              proxy.NewProxyCommand,
		"kubelet":                 func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) },
		"kubectl":                 kubectl.NewDefaultKubectlCommand,
	}
}
