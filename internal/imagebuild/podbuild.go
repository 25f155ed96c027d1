package imagebuild

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"

	"kiln/internal/failure"
	"kiln/internal/kaniko"
	"kiln/internal/metrics"
	"kiln/internal/podlog"
	"kiln/internal/podrun"
	"kiln/internal/podwait"
	"kiln/internal/steplog"
)

// podBuild does for one life what it asks for, and tells it what happens. Its fields
// belong to the goroutine of run.
type podBuild struct {
	order    *order
	life     *life
	pod      *corev1.Pod // as it was found or made
	output   *kanikoLog
	wait     *podwait.Wait
	gate     chan string // lines of the gate's log
	heard    chan error  // the outcome of reading them
	sent     chan error  // the outcome of sending the context
	deadline *time.Timer // of the phase
	grace    *time.Timer // of a finished build
	knock    *time.Timer // to the next try to send the context
	starts   func()      // counts the pod as waiting no longer
	denials  int
	shared   bool // the pod is one that the step needs, and another made
}

// seeThrough handles what happens to a build pod until its image is pushed, or
// cannot be.
func (o *order) seeThrough(ctx context.Context, pod *corev1.Pod, as role) (result, error) {
	options := &o.builder.options
	output := newKanikoLog(o.who.Log, o.plan.stages, pod.UID, as)
	wait := podwait.Begin(o.who.Log, options.Pods, podwait.Wait{
		Kind: "Pod", Name: pod.Name, Image: failure.KanikoImagePull, OwnUsers: pod.Spec.HostUsers != nil && !*pod.Spec.HostUsers,
	})
	b := &podBuild{
		order: o, pod: pod, output: output, wait: wait,
		life: &life{
			role:     as,
			uid:      pod.UID,
			limits:   limits{pending: options.Settings.PendingTimeout, build: options.Settings.BuildTimeout},
			inspects: len(o.plan.inspect) > 0,
			about:    subject{place: o.source.Place, file: o.plan.file, push: o.plan.push, secret: options.Settings.RegistrySecret},
			words:    output,
			wait:     wait,
		},
		gate: make(chan string), heard: make(chan error, 1), sent: make(chan error, 1),
		deadline: time.NewTimer(options.Settings.PendingTimeout), grace: time.NewTimer(0), knock: time.NewTimer(0),
		starts: sync.OnceFunc(options.Metrics.PodWaits()),
	}
	b.grace.Stop()
	b.knock.Stop()
	if as == heir {
		sent := o.begun.Sent
		if pod.UID != o.begun.Given { // it was only followed, and is over
			sent = time.Now()
		}
		b.life.phase, b.life.arrived, b.life.began = building, true, sent
		b.deadline.Reset(time.Until(sent.Add(options.Settings.BuildTimeout)))
	}
	defer b.leave()
	built, err := b.run(ctx)
	if err == nil {
		o.noteBuilt(built)
	}
	return built, err
}

// leave gives up a pod that another step made.
func (b *podBuild) leave() {
	if b.shared {
		b.order.letGo(b.pod.Name, b.pod.UID)
	}
}

// run passes events to the life, and does what it asks for, until it is over.
func (b *podBuild) run(ctx context.Context) (result, error) {
	defer b.deadline.Stop()
	defer b.grace.Stop()
	defer b.knock.Stop()
	defer b.starts()
	defer func() {
		b.output.close()
		b.order.steps = b.output.steps()
	}()
	feed := podwait.Watch(ctx, func(ctx context.Context, onChange podrun.OnChange) error {
		return b.order.builder.options.Pods.Watch(ctx, b.pod.Name, onChange)
	})
	ticker := time.NewTicker(podwait.Interval)
	defer ticker.Stop()
	for b.life.phase != over {
		if e := b.next(ctx, feed, ticker.C); e != nil {
			b.tell(ctx, e)
		}
	}
	switch {
	case b.life.err != nil:
		return result{}, b.life.err
	case b.life.kept:
		return b.order.keptImage(ctx)
	}
	return result{digest: b.life.digest, note: "built", followed: b.life.role == follower || b.life.role == heir && !b.order.mine(b.pod)}, nil
}

// next waits for something to happen; nil is nothing.
func (b *podBuild) next(ctx context.Context, feed podwait.Feed, tick <-chan time.Time) any {
	select {
	case <-ctx.Done():
		return cancelled{context.Cause(ctx)}
	case pod := <-feed.Pods:
		return podChanged{pod}
	case err := <-feed.Done:
		if ctx.Err() != nil { // the watch ends with it
			return cancelled{context.Cause(ctx)}
		}
		return watchEnded{err}
	case line := <-b.gate:
		return gateSaid{line}
	case err := <-b.heard:
		if err == nil || ctx.Err() != nil || errors.Is(err, podrun.ErrGone) {
			return nil // what ended the reading is told elsewhere
		}
		return gateUnread{fmt.Errorf("read the log of the build pod's gate: %w", err)}
	case err := <-b.sent:
		return contextSent{err}
	case what := <-b.output.says:
		return kanikoSaid{what}
	case <-tick:
		return ticked{}
	case <-b.deadline.C:
		return late{}
	case <-b.grace.C:
		return graceOver{}
	case <-b.knock.C:
		return knockTime{}
	}
}

// tell tells the life of an event and does what follows from it.
func (b *podBuild) tell(ctx context.Context, e any) {
	for _, todo := range b.life.on(e) {
		if outcome := b.do(ctx, todo); outcome != nil {
			b.tell(ctx, outcome)
		}
	}
}

// do does one thing, and returns the event that its outcome is, if it is one.
func (b *podBuild) do(ctx context.Context, todo effect) any {
	who, pods := b.order.who, b.order.builder.options.Pods
	switch todo.act {
	case followGate:
		go func() { b.heard <- b.followGate(ctx) }()
	case followKaniko:
		b.starts()
		go b.output.follow(func(sink podlog.Sink) error {
			return pods.FollowFrom(ctx, b.pod.Name, kaniko.ContainerKaniko, podlog.Position{}, sink)
		})
	case sendContext:
		b.noteGiven(false)
		go func() { b.sent <- b.order.send(ctx, b.pod.Name, pods.Attach) }()
	case knock:
		b.noteGiven(false)
		go func() { b.sent <- b.order.send(ctx, b.pod.Name, pods.Knock) }()
	case setKnock:
		b.knock.Reset(todo.after)
	case forgetGiven:
		b.order.note(func(begun *Begun) { begun.Given, begun.Sent = "", time.Time{} })
	case joinOwners:
		return b.join(ctx)
	case lookAtGate:
		pod, err := pods.Pod(ctx, b.pod.Name)
		return gateLooked{over: errors.Is(err, podrun.ErrGone) || err == nil && ended(pod)}
	case explain:
		return explained{b.wait.Look(ctx, b.life.pod)}
	case beat:
		who.Log.Beat(b.life.doing)
	case say:
		who.Log.Once(string(b.pod.UID)+todo.text, todo.text)
	case tellDenied:
		b.tellDenied(todo.text)
	case tellSent:
		who.Logger.Info("context sent", zap.String("pod", b.pod.Name))
		b.order.note(func(begun *Begun) { begun.Whole = true })
	case markWork:
		who.Times.Mark("schedule")
	case markBuilt:
		b.markBuilt()
	case setDeadline:
		b.deadline.Reset(todo.after)
	case setGrace:
		b.grace.Reset(todo.after)
	case removePod:
		b.life.err = b.order.remove(ctx, b.pod)
	case closeLog:
		b.output.finish()
	}
	return nil
}

// join makes the runner an owner of the pod.
func (b *podBuild) join(ctx context.Context) any {
	b.order.builder.shares.take(b.pod.UID)
	b.shared = true
	err := b.order.builder.options.Pods.AddOwner(ctx, b.pod.Name, b.pod.UID, b.order.owner)
	if err == nil {
		b.noteGiven(true)
	}
	return joined{err}
}

// noteGiven remembers that the pod gets the context, or has got the whole.
func (b *podBuild) noteGiven(whole bool) {
	b.order.note(func(begun *Begun) { begun.Given, begun.Sent, begun.Whole = b.pod.UID, time.Now(), whole })
}

// followGate passes the lines of the gate's log on.
func (b *podBuild) followGate(ctx context.Context) error {
	var line []byte
	return b.order.builder.options.Pods.Follow(ctx, b.pod.Name, kaniko.ContainerGate, func(chunk []byte) error {
		line = append(line, chunk...)
		if !bytes.HasSuffix(line, []byte("\n")) {
			return nil
		}
		select {
		case b.gate <- strings.TrimSuffix(string(line), "\n"):
		case <-ctx.Done():
			return ctx.Err()
		}
		line = line[:0]
		return nil
	})
}

// maxDenied is how many refusals of the gate the author sees: a RUN can cause
// as many as it likes.
const maxDenied = 10

// tellDenied tells of a refusal of the gate.
func (b *podBuild) tellDenied(what string) {
	b.order.builder.options.Metrics.GateDenied()
	b.order.who.Logger.Warn("gate denied a request", zap.String("denied", what))
	if b.denials++; b.denials <= maxDenied {
		b.order.who.Log.Line("kiln: the gate refused %s", steplog.OneLine(what))
	}
}

// markBuilt takes the time of a build whose manifest the registry has answered.
func (b *podBuild) markBuilt() {
	b.order.who.Times.Mark("build")
	if title, since := b.output.now(); strings.HasPrefix(title, "pushing ") {
		b.order.who.Times.Count(metrics.PhasePush, time.Since(since))
	}
}
