// Command nodeagent does on each node of a test cluster what kind's node image
// brings as separate programs: `network` connects pods (in place of kindnetd),
// `storage` makes and removes the directories of persistent volumes (in place
// of the local-path provisioner).
//
// Both run as DaemonSets and learn their node's name from NODE_NAME. They
// watch the API and act on every change, so a restart at any time loses
// nothing. Neither is fit for anything but a throw-away cluster on one
// machine: there are no network policies and no quotas.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "nodeagent:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("want one argument, network or storage, got %d", len(args))
	}
	config, err := rest.InClusterConfig()
	if err != nil {
		return fmt.Errorf("find the API server: %w", err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make API client: %w", err)
	}
	node := os.Getenv("NODE_NAME")
	switch args[0] {
	case "network":
		return network{client: client, node: node}.run(ctx)
	case "storage":
		return storage{client: client, node: node}.run(ctx)
	default:
		return fmt.Errorf("unknown task %q: want network or storage", args[0])
	}
}

// settle calls reconcile now, after every event of the watches that open
// makes, and every half minute. A failed reconcile is tried again after a
// second; closed watches are opened again.
func settle(ctx context.Context, open func(context.Context) ([]watch.Interface, error), reconcile func(context.Context) error) error {
	for ctx.Err() == nil {
		watches, err := open(ctx)
		if err == nil {
			err = follow(ctx, watches, reconcile)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "nodeagent:", err)
		}
		pause(ctx, time.Second)
	}
	return ctx.Err()
}

// follow reconciles on events until a watch closes or reconcile fails.
func follow(ctx context.Context, watches []watch.Interface, reconcile func(context.Context) error) error {
	wake, closed := make(chan struct{}, 1), make(chan struct{}, len(watches))
	for _, w := range watches {
		defer w.Stop()
		go forward(w, wake, closed)
	}
	tick := time.NewTicker(30 * time.Second)
	defer tick.Stop()
	for {
		if err := reconcile(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-closed:
			return nil
		case <-wake:
		case <-tick.C:
		}
	}
}

// forward turns events into at most one pending wake-up.
func forward(w watch.Interface, wake, closed chan<- struct{}) {
	for range w.ResultChan() {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
	closed <- struct{}{}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
