package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"
	"golang.org/x/net/netutil"

	"kiln/internal/config"
	"kiln/internal/spool"
)

// Bounds on what any pod of the cluster can make the daemon hold.
const (
	probeConnections = 16
	probeTimeout     = 5 * time.Second
)

// Handler runs one claimed step and returns its exit code; see
// [request.Handler].
type Handler interface {
	Handle(ctx context.Context, claim *spool.Claim) int
	Discard(ctx context.Context, id string) error
}

// Options are what an App is made of.
type Options struct {
	// Settings are the operator's, validated or not.
	Settings *config.Settings
	// Broken, when set, is why the settings cannot be used. It is the answer
	// to every request.
	Broken error
	// Handler runs steps. Nil makes one that reaches the cluster with the
	// pod's service account.
	Handler Handler
	// Log is the operator's log.
	Log *zap.Logger
}

// App is the daemon. Run may be called once.
type App struct {
	settings *config.Settings
	broken   error
	handler  Handler
	log      *zap.Logger
	exchange *spool.Exchange
	memory   *spool.Memory
	listener net.Listener
	server   *http.Server
	slots    chan struct{}
}

// New opens the exchange, the memory and the listener of /readyz. Only an
// exchange or a memory that cannot be used is an error.
func New(options Options) (*App, error) {
	a := &App{settings: options.Settings, broken: options.Broken, handler: options.Handler, log: options.Log}
	var err error
	if a.exchange, err = spool.Open(a.settings.Exchange); err != nil {
		return nil, err
	}
	if err = a.exchange.Init(); err == nil {
		a.memory, err = spool.OpenMemory(a.settings.Memory)
	}
	if err != nil {
		return nil, errors.Join(err, a.exchange.Close())
	}
	if a.broken == nil {
		a.broken = a.settings.Validate()
	}
	if a.broken == nil && a.handler == nil {
		a.reach()
	}
	if a.broken != nil {
		a.log.Error("kiln cannot run steps", zap.Error(a.broken))
	}
	a.slots = make(chan struct{}, max(1, a.settings.MaxInFlight))
	a.listen()
	return a, nil
}

// reach makes the handler that reaches the cluster.
func (a *App) reach() {
	handler, err := newHandler(a.settings, a.memory, a.log)
	if err != nil {
		a.broken = err
		return
	}
	a.handler = handler
}

// listen binds the address of /readyz. Without it kiln works all the same.
func (a *App) listen() {
	listener, err := net.Listen("tcp", a.settings.Listen)
	if err != nil {
		a.log.Error("cannot serve /readyz", zap.String("address", a.settings.Listen), zap.Error(err))
		return
	}
	a.listener = netutil.LimitListener(listener, probeConnections)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", a.ready)
	a.server = &http.Server{Handler: mux, ReadTimeout: probeTimeout, WriteTimeout: probeTimeout}
	a.server.SetKeepAlivesEnabled(false)
}

// Addr returns the address that /readyz is served at, or nil.
func (a *App) Addr() net.Addr {
	if a.listener == nil {
		return nil
	}
	return a.listener.Addr()
}

// ready answers 200 as long as the exchange is served, and says in its body
// what is wrong: a start-up probe that failed for a bad setting would keep
// the runner from every job.
func (a *App) ready(w http.ResponseWriter, _ *http.Request) {
	if a.broken != nil {
		fmt.Fprintf(w, "serving the exchange, but no step can run:\n%s\n", a.broken)
		return
	}
	fmt.Fprintln(w, "ok")
}

// Run serves the exchange until ctx ends, then cancels the steps in flight
// and waits for their cleanup.
func (a *App) Run(ctx context.Context) error {
	if a.listener != nil {
		go func() { _ = a.server.Serve(a.listener) }()
	}
	err := newServing(a).run(ctx)
	if a.server != nil {
		_ = a.server.Close()
	}
	return errors.Join(err, a.exchange.Close())
}
