package main

import (
	"cmp"
	"context"
	"errors"
	"time"

	"kiln/internal/agent"
	"kiln/internal/failure"
	"kiln/internal/jobdir"
)

// Waiting times for the job container's agent, which listens as soon as the
// container runs: kilnd has seen that by now, or was told.
const (
	doorWait  = 15 * time.Second       // until it answers at all
	knockPoll = 10 * time.Millisecond  // between two tries
	socketLag = 200 * time.Millisecond // of the socket behind the address
)

// A knocked is what came of knocking at one way.
type knocked struct {
	welcome agent.Welcome
	err     error
}

// findDoor finds out which way leads to the job container's agent: the socket on
// the work volume, else its address. Which one is never assumed: it depends on
// node, volume, kernel and policies (see docs/architecture.md).
func (j *job) findDoor(ctx context.Context, dir jobdir.Dir) error {
	ctx, cancel := context.WithTimeout(ctx, doorWait)
	defer cancel()
	socket := knock(ctx, agent.Door{Socket: dir.Door()}, j.own)
	address := j.knockAddress(ctx)
	var bySocket, byAddress knocked
	select {
	case bySocket = <-socket:
	case byAddress = <-address:
		// The agent opens the socket last.
		select {
		case bySocket = <-socket:
		case <-time.After(socketLag):
			bySocket.err = context.DeadlineExceeded
		}
	}
	if bySocket.err != nil && byAddress == (knocked{}) {
		byAddress = <-address
	}
	switch {
	case bySocket.err == nil:
		j.Door, j.Libc, j.short = waySocket, bySocket.welcome.Libc, bySocket.welcome.Short
		_ = agent.Door{Socket: dir.Door()}.Alone(ctx) // or else it listens where nobody comes
	case byAddress.err == nil:
		j.Door, j.Libc, j.short = wayTCP, byAddress.welcome.Libc, byAddress.welcome.Short
	case errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return shut(j.Address, bySocket.err, byAddress.err)
	default:
		return context.Cause(ctx)
	}
	return nil
}

// knockAddress knocks at the agent's address. The daemon does not know it where it was
// told of the socket before the pod's address was: then nothing answers.
func (j *job) knockAddress(ctx context.Context) <-chan knocked {
	if j.Address == "" {
		answered := make(chan knocked, 1)
		context.AfterFunc(ctx, func() { answered <- knocked{err: context.Cause(ctx)} })
		return answered
	}
	return knock(ctx, agent.Door{TCP: j.Address, Secret: []byte(j.Secret)}, j.own)
}

// own tells the agent of the job's pod from that of one before it, which may listen at
// the same socket until it has ended, and from anybody else's.
func (j *job) own(mark agent.Mark) bool { return mark == agent.MarkOf([]byte(j.Secret)) }

// announce tells the daemon as soon as the agent of the job container answers at its
// socket: the kubelet says later that the container runs. stop ends the knocking.
func (s *step) announce() (stop func()) {
	if s.door == "" {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	answered, done := knock(ctx, agent.Door{Socket: s.door}, anybody), make(chan struct{})
	go func() {
		defer close(done)
		if k := <-answered; k.err == nil {
			_ = s.draft.Enter(k.welcome.Mark.String()) // without it the daemon waits for the kubelet
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// anybody takes every agent: the daemon judges its mark.
func anybody(agent.Mark) bool { return true }

// errForeign is an agent that answers and is not the one of the job's pod.
var errForeign = errors.New("the agent of another pod answers")

// knock probes a door until an agent answers that is wanted, or ctx ends.
func knock(ctx context.Context, door agent.Door, wanted func(agent.Mark) bool) <-chan knocked {
	answered := make(chan knocked, 1)
	go func() {
		var last error
		for {
			welcome, err := door.Probe(ctx)
			if err == nil && !wanted(welcome.Mark) {
				err = errForeign
			}
			if err == nil {
				answered <- knocked{welcome: welcome}
				return
			}
			if last == nil || ctx.Err() == nil { // else it says no more than that
				last = err
			}
			select {
			case <-ctx.Done():
				answered <- knocked{err: last}
				return
			case <-time.After(knockPoll):
			}
		}
	}()
	return answered
}

// shut is the error for an agent that answers nowhere, with what may be the
// reason.
func shut(address string, bySocket, byAddress error) error {
	why := "does SELinux, AppArmor or a sandbox keep the two pods apart, does a NetworkPolicy forbid " + cmp.Or(address, "its address") + "?"
	return failure.New(failure.NotStarted, "the job container runs, and its agent answers neither at the socket on the work volume (%w) nor at %s (%v): %s", bySocket, cmp.Or(address, "an address"), byAddress, why)
}
