package app

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"
	"golang.org/x/net/netutil"
)

// Bounds on what any pod of the cluster can make the daemon hold.
const (
	portConnections = 16
	portTimeout     = 5 * time.Second
)

// portRetry is the time between two attempts at a port that is taken.
const portRetry = 2 * time.Second

// port serves a handler at an address. A port that is taken, as the runner
// container can do to any port of the pod, is a problem that steps are told
// of, and is tried again until it is free.
type port struct {
	path     string // what it serves
	setting  string // the variable that has its address
	address  string
	handler  http.Handler
	problems *problems
	log      *zap.Logger

	listener net.Listener
	first    net.Addr // where New bound it, or nil
}

// bind tries to take the address.
func (p *port) bind(ctx context.Context) bool {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", p.address)
	if err != nil {
		err = fmt.Errorf("kiln's daemon cannot serve %s: %w: steps run all the same; an operator frees the port in the runner pod or sets %s", p.path, err, p.setting)
	} else {
		p.listener = netutil.LimitListener(listener, portConnections)
	}
	p.problems.set(p.path, problem{err: err, told: true})
	return err == nil
}

// run serves until ctx ends.
func (p *port) run(ctx context.Context) {
	if p.listener == nil && !p.rebind(ctx) {
		return
	}
	mux := http.NewServeMux()
	mux.Handle("GET "+p.path, p.handler)
	server := &http.Server{Handler: mux, ReadTimeout: portTimeout, WriteTimeout: portTimeout, MaxHeaderBytes: 16 << 10}
	server.SetKeepAlivesEnabled(false)
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	_ = server.Serve(p.listener)
}

// rebind tries to take the address until that succeeds or ctx ends.
func (p *port) rebind(ctx context.Context) bool {
	p.log.Error("port", zap.Error(p.problems.of(p.path)))
	ticker := time.NewTicker(portRetry)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-ticker.C:
			if p.bind(ctx) {
				p.log.Info("the port is free again", zap.String("path", p.path), zap.String("address", p.address))
				return true
			}
		}
	}
}
