package request

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kiln/internal/failure"
	"kiln/internal/kaniko"
	"kiln/internal/metrics"
	"kiln/internal/podrun"
	"kiln/internal/podwait"
)

// How long a finished build may take to say so by its other channels.
const (
	tailGrace    = time.Second     // for the last lines of Kaniko's log
	verdictGrace = 5 * time.Second // for the gate's last word, or the pod's status
)

// contextGrace is how long a follower waits for the creator of a build pod to
// send the context, once the pod can take it.
const contextGrace = 60 * time.Second

// role is what a step has to do with a build pod.
type role int

const (
	// creator made the pod, and alone sends the context.
	creator role = iota
	// follower waits for another step's build. It becomes an owner of the pod
	// once the context has arrived: what came before it can only be begun anew.
	follower
)

// build is one build pod from its creation on. Its fields belong to the
// goroutine of run.
type build struct {
	step     *step
	plan     *plan
	role     role
	name     string
	uid      types.UID
	pod      *corev1.Pod // the latest state; nil before the first
	output   *kanikoLog
	gate     chan string     // lines of the gate's log
	heard    chan error      // the outcome of reading them
	sent     chan error      // the outcome of sending the context
	arrival  <-chan struct{} // closed when Kaniko has unpacked the context
	began    time.Time       // when the context began to be sent, or had arrived
	deadline *time.Timer     // of the present phase
	why      *podwait.Wait

	starts func() // counts the pod as waiting no longer

	gateFollowed bool
	gateListens  bool
	shown        bool // Kaniko's log is being read
	working      bool // the context is being sent, or has arrived
	joined       bool // the owners of a pod that another step made
	digest       string
	kept         bool   // the registry keeps another image under the tag
	deaf         error  // why the gate's log cannot be read
	denied       string // the gate's last refusal
	denials      int
	unfit        error  // of a layer that the gate has cut off
	note         string // what the gate said last of a registry
	cut          error  // why the context was not sent whole
}

// newBuild returns the build in the given pod.
func newBuild(s *step, p *plan, pod *corev1.Pod, as role) *build {
	output := newKanikoLog(s.log, p.stages, s.asked.Debug)
	why := podwait.Begin(s.log, s.handler.pods, podwait.Wait{Kind: "Pod", Name: pod.Name, Image: failure.KanikoImagePull, OwnUsers: pod.Spec.HostUsers != nil && !*pod.Spec.HostUsers})
	return &build{
		step:     s,
		plan:     p,
		role:     as,
		name:     pod.Name,
		uid:      pod.UID,
		output:   output,
		arrival:  output.begun,
		gate:     make(chan string),
		heard:    make(chan error, 1),
		sent:     make(chan error, 1),
		deadline: time.NewTimer(s.handler.operator.Settings.PendingTimeout),
		why:      why,
		starts:   sync.OnceFunc(s.handler.metrics.PodWaits()),
	}
}

// run handles what happens to the build pod until its image is pushed, or
// cannot be.
func (b *build) run(ctx context.Context) (made, error) {
	defer b.deadline.Stop()
	defer b.starts()
	defer b.output.close()
	feed := podwait.Watch(ctx, func(ctx context.Context, onChange podrun.OnChange) error {
		return b.step.handler.pods.Watch(ctx, b.name, onChange)
	})
	ticker := time.NewTicker(podwait.Interval)
	defer ticker.Stop()
	for b.digest == "" && !b.kept {
		var err error
		select {
		case <-ctx.Done():
			err = context.Cause(ctx)
		case b.pod = <-feed.Pods:
			err = b.observe(ctx)
		case err = <-feed.Done:
			err = b.gone(err)
		case line := <-b.gate:
			b.hear(ctx, line)
			err = b.unfit
		case err = <-b.heard:
			err = b.unheard(ctx, err)
		case err = <-b.sent:
			err = b.unsent(ctx, err)
		case <-b.output.incomplete:
			err = b.incomplete()
		case <-b.arrival:
			err = b.arrived(ctx)
		case <-ticker.C:
			err = b.explain(ctx)
		case <-b.deadline.C:
			err = b.late(ctx)
		}
		if err != nil {
			return made{}, err
		}
	}
	return b.done(ctx)
}

// done returns the outcome of a build whose manifest the registry has answered.
func (b *build) done(ctx context.Context) (made, error) {
	b.step.times.Mark("build")
	if title, since := b.output.now(); strings.HasPrefix(title, "pushing ") {
		b.step.times.Count(metrics.PhasePush, time.Since(since))
	}
	b.output.awaitPush(ctx, tailGrace)
	b.output.finish()
	if b.kept {
		return b.keptImage(ctx)
	}
	return made{digest: b.digest, note: "built", followed: b.role == follower}, nil
}

// observe acts on a new state of the pod.
func (b *build) observe(ctx context.Context) error {
	if b.pod.UID != b.uid {
		return b.gone(podrun.ErrGone)
	}
	if !b.gateFollowed && podwait.Started(b.pod, kaniko.ContainerGate) {
		b.gateFollowed = true
		go func() { b.heard <- b.followGate(ctx) }()
	}
	b.show(ctx)
	b.send(ctx)
	if ended(b.pod) {
		return b.verdict(ctx)
	}
	return b.nodeLost()
}

// gone is what a build pod that went away means. Somebody removed it: the
// creator was cancelled, the build was done, or the cluster wanted its node.
func (b *build) gone(err error) error {
	if !errors.Is(err, podrun.ErrGone) {
		return podwait.Lost("build pod", err)
	}
	if b.pod != nil {
		if reason, failed := podrun.Failed(b.pod); failed {
			return b.taken(reason)
		}
	}
	b.step.log.Line("kiln: the build pod went away, looking again")
	return errAgain
}

// show passes Kaniko's log on, from its beginning.
func (b *build) show(ctx context.Context) {
	if b.shown || !podwait.Started(b.pod, kaniko.ContainerKaniko) {
		return
	}
	b.shown = true
	b.starts()
	b.awaitContext()
	go b.output.follow(func(sink func([]byte) error) error {
		return b.step.handler.pods.Follow(ctx, b.name, kaniko.ContainerKaniko, sink)
	})
}

// awaitContext gives the creator its time to send the context, once the pod can
// take it: the images of its containers may come long after one another.
func (b *build) awaitContext() {
	if b.waitsForContext() {
		b.deadline.Reset(contextGrace)
	}
}

// waitsForContext reports whether a follower sees a pod that can take the context.
func (b *build) waitsForContext() bool {
	return b.role == follower && b.shown && b.gateListens && !b.working
}

// send starts the build by sending the context, once the gate listens and
// Kaniko waits for its input. Only the creator sends: the bytes of two would
// be mixed.
func (b *build) send(ctx context.Context) {
	if b.role != creator || b.working || !b.gateListens || b.pod == nil || !podrun.Running(b.pod, kaniko.ContainerKaniko) {
		return
	}
	b.work()
	go func() {
		b.sent <- b.step.sendContext(b.plan.head, func(r io.Reader) error {
			return b.step.handler.pods.Attach(ctx, b.name, kaniko.ContainerKaniko, r)
		})
	}()
}

// work says that the build goes on by itself from now on.
func (b *build) work() {
	b.working, b.began = true, time.Now()
	b.step.times.Mark("schedule")
	b.deadline.Reset(b.step.handler.operator.Settings.BuildTimeout)
}

// arrived acts on Kaniko's first words after it has unpacked the context: a
// follower joins the owners, so that the build outlives its creator.
func (b *build) arrived(ctx context.Context) error {
	b.arrival = nil
	if b.role != follower {
		return nil
	}
	b.step.handler.holds.hold(b.uid)
	b.joined = true
	b.work()
	err := b.step.handler.pods.AddOwner(ctx, b.name, b.uid, b.step.owner)
	if errors.Is(err, podrun.ErrGone) {
		return b.gone(err)
	}
	return err
}

// leave gives up a pod that another step made.
func (b *build) leave() {
	if b.joined {
		b.step.letGo(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: b.name, UID: b.uid}})
	}
}
