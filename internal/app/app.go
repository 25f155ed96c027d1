package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"

	"kiln/internal/config"
	"kiln/internal/footprint"
	"kiln/internal/metrics"
	"kiln/internal/resolver"
	"kiln/internal/spool"
)

// Times of the look for the API server at the start.
const (
	reachTimeout = 10 * time.Second
	reachFirst   = time.Second // after the first failure; it doubles
	reachLast    = 30 * time.Second
)

// exchangeRetry is the time between two attempts at an exchange that cannot be
// served.
const exchangeRetry = 2 * time.Second

// Handler runs one claimed step and returns its exit code, or carries a wish out of the job
// that has begun; see [request.Handler].
type Handler interface {
	Handle(ctx context.Context, claim *spool.Claim) int
	BeginJob(job string)
	Wish(ctx context.Context, wish *spool.TakenWish)
	Discard(ctx context.Context, id string) error
	Release(ctx context.Context) error
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
	// Reachable asks the API server for something that every step needs. Nil
	// is the daemon's own look at its pod, or none beside a given Handler.
	Reachable func(context.Context) error
	// Metrics are what is counted, served on a port of their own; nil counts
	// nothing.
	Metrics *metrics.Metrics
	// Log is the operator's log.
	Log *zap.Logger
}

// App is the daemon. Run may be called once.
type App struct {
	settings *config.Settings
	broken   error
	handler  Handler
	log      *zap.Logger
	exchange *spool.Exchange // nil until it can be served
	state    *spool.State    // nil only while broken
	metrics  *metrics.Metrics
	problems *problems
	ports    []*port
	// reachable asks the API server for the daemon's own pod; nil without one.
	reachable func(context.Context) error
	slots     chan struct{}
}

// New opens the exchange, the state and the ports. What cannot be used is a
// problem that is told, and never an error: see the package.
func New(options Options) *App {
	a := &App{
		settings: options.Settings, broken: options.Broken, handler: options.Handler, log: options.Log,
		reachable: options.Reachable, metrics: options.Metrics, problems: &problems{metrics: options.Metrics},
	}
	if !a.open() {
		a.log.Error("no step can run until this is mended", zap.Error(a.problems.of(exchangeProblem)))
	}
	var err error
	if a.state, err = spool.OpenState(a.settings.State); err != nil {
		a.broken = errors.Join(a.broken, err)
	}
	// Before anything of a job runs, whatever becomes of the settings.
	if _, err := resolver.Keep(a.settings.State); err != nil {
		a.broken = errors.Join(a.broken, err)
	}
	if a.broken == nil {
		a.broken = a.settings.Validate()
	}
	if a.broken == nil && a.handler == nil {
		a.reach()
	}
	a.problems.set("settings", problem{err: a.broken})
	if a.broken != nil {
		a.log.Error("kiln cannot run steps", zap.Error(a.broken))
	}
	a.slots = make(chan struct{}, max(1, a.settings.MaxInFlight))
	a.listen()
	return a
}

// exchangeProblem is what an exchange that cannot be served is a problem with.
const exchangeProblem = "exchange"

// open opens the exchange and makes its directories, where that is possible.
func (a *App) open() bool {
	exchange, err := spool.Open(a.settings.Exchange)
	if err == nil {
		if err = exchange.Init(); err != nil {
			err = errors.Join(err, exchange.Close())
		}
	}
	a.problems.set(exchangeProblem, problem{err: err})
	if err != nil {
		return false
	}
	a.exchange = exchange
	return true
}

// awaitExchange tries to open the exchange until that succeeds or ctx ends.
func (a *App) awaitExchange(ctx context.Context) bool {
	ticker := time.NewTicker(exchangeRetry)
	defer ticker.Stop()
	for a.exchange == nil {
		select {
		case <-ctx.Done():
			return false
		case <-ticker.C:
			if a.open() {
				a.log.Info("the exchange can be served now", zap.String("exchange", a.settings.Exchange))
			}
		}
	}
	return true
}

// reach makes the handler that reaches the cluster.
func (a *App) reach() {
	handler, runner, err := newHandler(a.settings, a.state, a.metrics, a.log)
	if err != nil {
		a.broken = err
		return
	}
	a.handler = handler
	a.reachable = func(ctx context.Context) error {
		_, err := runner.Read(ctx)
		return err
	}
}

// listen binds the ports. Without them kiln works all the same.
func (a *App) listen() {
	a.ports = append(a.ports, &port{
		path: "/readyz", setting: "KILN_LISTEN", address: a.settings.Listen,
		handler: http.HandlerFunc(a.ready), problems: a.problems, log: a.log,
	})
	if a.metrics != nil {
		a.ports = append(a.ports, &port{
			path: "/metrics", setting: "KILN_METRICS_LISTEN", address: a.settings.MetricsListen,
			handler: a.metrics.Handler(), problems: a.problems, log: a.log,
		})
	}
	for _, p := range a.ports {
		if p.bind(context.Background()) {
			p.first = p.listener.Addr()
		}
	}
}

// Addr returns the address that a path, /readyz or /metrics, was served at
// when New returned, or nil.
func (a *App) Addr(path string) net.Addr {
	for _, p := range a.ports {
		if p.path == path {
			return p.first
		}
	}
	return nil
}

// ready answers 200 and says in its body what is wrong: a probe that failed for
// a bad setting would keep the runner from every job.
func (a *App) ready(w http.ResponseWriter, _ *http.Request) {
	found := a.problems.all()
	switch {
	case a.problems.of(exchangeProblem) != nil:
		fmt.Fprintln(w, "not serving the exchange:")
	case a.broken != nil:
		fmt.Fprintln(w, "serving the exchange, but no step can run:")
	case len(found) > 0:
		fmt.Fprintln(w, "serving the exchange, with problems:")
	default:
		fmt.Fprintln(w, "ok")
	}
	for _, p := range found {
		fmt.Fprintln(w, p.err)
	}
}

// Run serves the exchange, as soon as it can be served, until ctx ends, then
// cancels the steps in flight and waits for their cleanup.
func (a *App) Run(ctx context.Context) error {
	ports, closePorts := context.WithCancel(context.WithoutCancel(ctx))
	var beside sync.WaitGroup
	for _, p := range a.ports {
		beside.Go(func() { p.run(ports) })
	}
	if a.reachable != nil {
		beside.Go(func() { a.reachAPI(ctx) })
	}
	var err error
	if a.awaitExchange(ctx) {
		err = errors.Join(newServing(a).run(ctx), a.exchange.Close())
	}
	closePorts()
	beside.Wait()
	return err
}

// reachAPI asks the API server until it has answered once, so that an operator
// learns of what is wrong before the first step does.
func (a *App) reachAPI(ctx context.Context) {
	const what = "API server"
	for wait := reachFirst; ; wait = min(2*wait, reachLast) {
		trial, cancel := context.WithTimeout(ctx, reachTimeout)
		err := a.reachable(trial)
		cancel()
		if ctx.Err() != nil {
			return
		}
		if err != nil && a.problems.of(what) == nil {
			a.log.Error("steps fail until this is mended", zap.Error(err))
		}
		a.problems.set(what, problem{err: err})
		if err == nil {
			footprint.Shrink() // what the start took: a runner is idle most of its life
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}
