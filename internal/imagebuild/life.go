package imagebuild

import (
	"errors"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"kiln/internal/failure"
	"kiln/internal/kaniko"
	"kiln/internal/podrun"
	"kiln/internal/podwait"
	"kiln/internal/steplog"
)

// phase is how far a build in a pod is; the package comment has the picture.
type phase int

const (
	starting phase = iota
	idle
	sending
	building
	cut
	unsaid
	unread
	suspect
	pushed
	over
)

// role is what a step has to do with a build pod.
type role int

const (
	// creator made the pod, and alone sends the context.
	creator role = iota
	// follower waits for another step's build. It becomes an owner of the pod
	// once the context has arrived: what came before it can only be begun anew.
	follower
	// heir goes on with a pod that has got the whole context in an earlier run of the
	// daemon: what has happened since is heard again.
	heir
)

// gateState is how far the gate is, as far as that was heard.
type gateState int

const (
	gateAway    gateState = iota // its container has not started
	gateStarted                  // its log is being read
	gateListens
)

// How long a finished build may take to say so by its other channels.
const (
	verdictGrace = 5 * time.Second // for the gate's last word, or the last lines of Kaniko's log
	cutGrace     = time.Second     // for what the gate says of a layer that it has cut off
)

// contextGrace is how long a follower waits for the creator of a build pod to
// send the context, once the pod can take it.
const contextGrace = 60 * time.Second

// limits are the operator's.
type limits struct{ pending, build time.Duration }

// life is what one step has to do with one build pod, from the pod's creation until it
// is known how the build ended. It is a state machine: on takes an event and returns
// what is to be done. It does nothing itself, and is not safe for concurrent use.
type life struct {
	// What does not change.
	role     role
	uid      types.UID
	limits   limits
	inspects bool    // the gate looks through layers
	about    subject // what errors name
	words    words   // what Kaniko's log says, as far as it was read
	wait     *podwait.Wait

	phase   phase
	pod     *corev1.Pod // the latest state; nil before the first
	gate    gateState
	shown   bool      // Kaniko's log is being read
	knocks  int       // how often the context was tried to be sent, or is going to be
	knocked bool      // it is being tried
	unsure  bool      // one went well, and Kaniko has not said that it got anything
	arrived bool      // Kaniko has the context
	began   time.Time // when the context began to be sent, or had arrived; zero before

	deaf     error  // why the gate's log cannot be read
	denied   string // the gate's last refusal
	note     string // what the gate said last of a registry
	badLayer string // what the gate has cut off, and why
	broke    error  // why the context was not sent whole

	// How the build ended, once it is over: with err, or else with a manifest that
	// the registry took, or that it kept another image for.
	digest string
	kept   bool
	err    error
}

// words are what Kaniko's log says so far.
type words interface {
	failure(exitCode int32, oomKilled bool) kaniko.Failure
	instruction() string
	instructionLine() int
	missing() (why kaniko.Failure, line int)
	now() (title string, since time.Time)
	said(what saying) bool
	whole() bool
}

// on takes an event and returns what is to be done, in this order.
func (l *life) on(e any) []effect {
	if l.phase == over {
		return nil
	}
	switch e := e.(type) {
	case cancelled:
		return l.cancelled(e.cause)
	case podChanged:
		return l.observe(e.pod)
	case watchEnded:
		return l.watchEnded(e.err)
	case gateSaid:
		return l.hear(e.line)
	case gateUnread:
		return l.unheard(e.err)
	case gateLooked:
		return l.looked(e.over)
	case contextSent:
		return l.sent(e.err)
	case knockTime:
		return l.knock()
	case kanikoSaid:
		return l.read(e.what)
	case joined:
		return l.joined(e.err)
	case explained:
		return l.fail(e.err)
	case ticked:
		return l.tick()
	case late:
		return l.late()
	case graceOver:
		return l.graceOver()
	}
	return nil
}

// fail ends the build with err; nil ends nothing.
func (l *life) fail(err error) []effect {
	if err != nil {
		l.phase, l.err = over, err
	}
	return nil
}

// judging reports whether a container has ended, so that nothing but last words
// counts.
func (l *life) judging() bool { return l.phase == unsaid || l.phase == unread || l.phase == suspect }

// settled reports whether the build is past what goes on in its pod.
func (l *life) settled() bool { return l.judging() || l.phase == pushed }

// working reports whether the context is being sent, or has arrived.
func (l *life) working() bool { return !l.began.IsZero() }

// cancelled gives the build up, unless it is done but for the last lines of its log.
func (l *life) cancelled(cause error) []effect {
	if l.phase == pushed {
		return l.finish()
	}
	return l.fail(cause)
}

// observe acts on a new state of the pod.
func (l *life) observe(pod *corev1.Pod) []effect {
	if l.settled() {
		return nil
	}
	l.pod = pod
	if pod.UID != l.uid {
		return l.gone()
	}
	var todo []effect
	if l.role == creator && l.phase == starting && l.knocks == 0 && pod.Spec.NodeName != "" {
		l.knocks = 1
		todo = append(todo, effect{act: setKnock, after: firstKnock})
	}
	if l.gate == gateAway && podwait.Started(pod, kaniko.ContainerGate) {
		l.gate = gateStarted
		todo = append(todo, effect{act: followGate})
	}
	if !l.shown && podwait.Started(pod, kaniko.ContainerKaniko) {
		l.shown = true
		todo = append(todo, effect{act: followKaniko})
		if l.unsure {
			todo = append(todo, effect{act: setGrace, after: inputGrace})
		}
	}
	todo = append(todo, l.begin()...)
	if ended(pod) {
		return append(todo, l.ended()...)
	}
	return append(todo, l.nodeLost()...)
}

// nodeLost ends a build whose node will not say any more how it ends.
func (l *life) nodeLost() []effect {
	if l.pod == nil {
		return nil
	}
	if reason, lost := podrun.Lost(l.pod, kaniko.ContainerKaniko); lost {
		return l.fail(l.taken(reason))
	}
	return nil
}

// watchEnded acts on the end of the watch.
func (l *life) watchEnded(err error) []effect {
	switch {
	case l.settled():
		return nil
	case errors.Is(err, podrun.ErrGone):
		return l.gone()
	}
	return l.fail(podwait.Lost("build pod", err))
}

// gone is what a build pod that went away means. Somebody removed it: the
// creator was cancelled, the build was done, or the cluster wanted its node.
func (l *life) gone() []effect {
	if l.pod != nil {
		if reason, failed := podrun.Failed(l.pod); failed {
			return l.fail(l.taken(reason))
		}
	}
	l.fail(errAgain)
	return []effect{{act: say, text: "kiln: the build pod went away, looking again"}}
}

// hear acts on a line of the gate's log.
func (l *life) hear(line string) []effect {
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "listening":
		l.gate = gateListens
		return l.begin()
	case "pushed":
		return l.answered(rest, false)
	case "kept":
		return l.answered("", true)
	case "unfit":
		return l.cutOff(rest)
	case "denied":
		l.denied = rest
		return []effect{{act: tellDenied, text: rest}}
	case "#":
		if !strings.Contains(rest, "context canceled") { // Kaniko waited no longer
			l.note = rest
		}
	}
	return nil
}

// answered acts on the registry's answer to the manifest. After a verdict that does
// not wait for it, it comes too late.
func (l *life) answered(digest string, kept bool) []effect {
	if digest == "" && !kept || l.phase == pushed || l.phase == unread || l.phase == suspect {
		return nil
	}
	l.phase, l.digest, l.kept = pushed, digest, kept
	todo := []effect{{act: markBuilt}}
	if l.words.said(push) || l.words.said(end) {
		return append(todo, l.finish()...)
	}
	return append(todo, effect{act: setGrace, after: verdictGrace})
}

// cutOff acts on a layer that the gate has cut off.
func (l *life) cutOff(what string) []effect {
	l.badLayer = what
	if l.phase == unsaid || l.phase == unread || l.phase == pushed {
		return nil
	}
	return l.fail(l.badBase())
}

// unheard acts on a gate whose log cannot be read. Without its lines a build would
// neither begin nor end; where the pod is over or gone, its state says more.
func (l *life) unheard(err error) []effect {
	l.deaf = err
	switch {
	case l.phase == unsaid:
		return l.worded()
	case l.settled():
		return nil
	}
	return []effect{{act: lookAtGate}}
}

// looked ends a build of whose gate nothing will be heard any more.
func (l *life) looked(over bool) []effect {
	if over || l.settled() {
		return nil
	}
	return l.fail(l.deaf)
}

// read acts on what Kaniko's log says.
func (l *life) read(what saying) []effect {
	switch what {
	case input:
		return l.confirmed()
	case begin:
		return append(l.confirmed(), l.begun()...)
	case lack:
		if !l.settled() {
			why, line := l.words.missing()
			return l.fail(l.about.at(line, why))
		}
	case push:
		if l.phase == pushed {
			return l.finish()
		}
	case end:
		switch l.phase {
		case cut:
			return l.heardOut()
		case unread:
			return l.exhausted()
		case pushed:
			return l.finish()
		}
	}
	return nil
}

// begun acts on Kaniko's first words after it has unpacked the context: a
// follower joins the owners, so that the build outlives its creator.
func (l *life) begun() []effect {
	if l.settled() {
		return nil
	}
	l.arrived = true
	if l.role == follower {
		l.phase = building
		return append(l.work(), effect{act: joinOwners})
	}
	if l.phase == sending {
		l.phase = building
	}
	return nil
}

// joined acts on the outcome of becoming an owner.
func (l *life) joined(err error) []effect {
	switch {
	case l.settled():
		return nil
	case errors.Is(err, podrun.ErrGone):
		return l.gone()
	}
	return l.fail(err)
}

// tick looks why the pod does not start, or says that a silent build goes on. The loss
// of a node shows in no new state of the pod: time tells it.
func (l *life) tick() []effect {
	if l.settled() {
		return nil
	}
	l.nodeLost()
	switch {
	case l.phase == over:
		return nil
	case l.working():
		return []effect{{act: beat}}
	}
	return []effect{{act: explain}}
}

// late ends a phase that took too long. A creator that does not send the context has
// died: its pod is removed, and the build begins anew.
func (l *life) late() []effect {
	switch {
	case l.settled():
		return nil
	case l.working():
		return l.fail(failure.New(failure.Deadline, "the build took longer than %s (KILN_BUILD_TIMEOUT); it was %s", l.limits.build, l.doing()))
	case l.phase == idle:
		l.fail(errAgain)
		text := "kiln: whoever began the build has not sent its context for " + contextGrace.String() + ", beginning anew"
		return []effect{{act: say, text: text}, {act: removePod}}
	}
	return l.fail(l.wait.Late("the build pod", l.limits.pending))
}

// doing says what the build is at, and for how long.
func (l *life) doing() string {
	title, since := l.words.now()
	if title == "" {
		return "sending the build context, " + steplog.Elapsed(l.began)
	}
	return "building: " + title + ", " + steplog.Elapsed(since)
}

// graceOver goes on without what was waited for.
func (l *life) graceOver() []effect {
	switch l.phase {
	case sending:
		return l.unconfirmed()
	case cut:
		return l.brokenOff()
	case unsaid:
		return l.worded()
	case unread:
		return l.exhausted()
	case suspect:
		return l.judge()
	case pushed:
		return l.finish()
	}
	return nil
}

// finish ends a build whose image the registry has.
func (l *life) finish() []effect {
	l.phase = over
	return []effect{{act: closeLog}}
}
