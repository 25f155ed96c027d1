package imagebuild

import (
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"kiln/internal/failure"
	"kiln/internal/kaniko"
	"kiln/internal/podrun"
)

// When a creator tries to send the context to a container of which the kubelet has not
// said that it runs: it says so in its next round, up to a second later. The first time
// is once a pod can be there at best, and those that pull their images are left to the
// kubelet.
const (
	firstKnock = 400 * time.Millisecond // after the pod has got its node
	nextKnock  = 200 * time.Millisecond // after the last: each is a connection of its own
	maxKnocks  = 13
)

// inputGrace is how long Kaniko's log may take to say that a context came that a knock
// has sent, once the pod says that it runs.
const inputGrace = 5 * time.Second

// knock tries to send the context before the pod says that Kaniko runs. Kaniko's first
// process waits for the gate, so that nothing is lost by not having heard of that.
func (l *life) knock() []effect {
	if l.phase != starting || l.knocked {
		return nil
	}
	l.knocked = true
	return []effect{{act: knock}}
}

// knockEnded acts on the outcome of a knock. The kubelet finds containers by the pod's
// name: one of a pod that had it before, and was deleted by force, may have taken the
// context. So it counts as sent once Kaniko's first process says that something came.
func (l *life) knockEnded(err error) []effect {
	l.knocked = false
	switch {
	case errors.Is(err, podrun.ErrNotYet):
		return l.unanswered()
	case err != nil:
		return l.broken(err)
	}
	var todo []effect
	if l.phase == starting {
		l.phase = sending
		todo = l.work()
	}
	l.unsure = true
	switch {
	case l.words.said(input) || l.arrived:
		todo = append(todo, l.confirmed()...)
	case l.shown:
		todo = append(todo, effect{act: setGrace, after: inputGrace})
	}
	return todo
}

// confirmed acts on Kaniko's first process having got something.
func (l *life) confirmed() []effect {
	if !l.unsure {
		return nil
	}
	l.unsure = false
	return []effect{{act: tellSent}}
}

// unconfirmed sends the context again, to a Kaniko that runs and has not got any.
func (l *life) unconfirmed() []effect {
	if !l.unsure {
		return nil
	}
	l.unsure = false
	return []effect{{act: sendContext}}
}

// unanswered acts on a try to send the context of which nothing has arrived.
func (l *life) unanswered() []effect {
	switch {
	case l.phase == sending: // Kaniko runs, as the pod has said meanwhile
		return []effect{{act: sendContext}}
	case l.phase != starting:
		return nil
	case l.knocks < maxKnocks:
		l.knocks++
		return []effect{{act: forgetGiven}, {act: setKnock, after: nextKnock}}
	}
	return []effect{{act: forgetGiven}}
}

// begin leaves starting once the pod says that it can take the context: the creator
// sends it, once the gate listens and Kaniko waits for its input, and a follower gives
// the creator its time, for the images of the containers may come long after one another.
func (l *life) begin() []effect {
	switch {
	case l.phase != starting || l.gate != gateListens || !l.shown:
		return nil
	case l.role == follower:
		l.phase = idle
		return []effect{{act: setDeadline, after: contextGrace}}
	case !podrun.Running(l.pod, kaniko.ContainerKaniko):
		return nil
	}
	l.phase = sending
	if l.knocked { // and is answered now
		return l.work()
	}
	return append(l.work(), effect{act: sendContext})
}

// work says that the build goes on by itself from now on.
func (l *life) work() []effect {
	l.began = time.Now()
	return []effect{{act: markWork}, {act: setDeadline, after: l.limits.build}}
}

// sent acts on the outcome of sending the context.
func (l *life) sent(err error) []effect {
	switch {
	case l.knocked:
		return l.knockEnded(err)
	case err == nil:
		return []effect{{act: tellSent}}
	}
	return l.broken(err)
}

// broken acts on a context that did not arrive whole. Where Kaniko has ended, its own
// words say more than a broken stream does.
func (l *life) broken(err error) []effect {
	l.broke = failure.New(failure.ContextTransport, "the build context did not arrive whole: %w", err)
	switch {
	case l.settled():
		return nil
	case apierrors.IsForbidden(err): // and would be the next time
		return l.fail(fmt.Errorf("send the build context: %w", err))
	}
	l.phase = cut
	if l.words.said(end) {
		return l.heardOut()
	}
	return []effect{{act: setGrace, after: verdictGrace}}
}

// heardOut goes on after a broken stream once Kaniko's log has ended: if it was read
// to its end, the pod's next state brings the verdict.
func (l *life) heardOut() []effect {
	if !l.words.whole() {
		return l.brokenOff()
	}
	if l.phase = sending; l.arrived {
		l.phase = building
	}
	return nil
}

// brokenOff ends a build that has not got its context. Where somebody removed the pod,
// that is why.
func (l *life) brokenOff() []effect {
	if l.pod.DeletionTimestamp != nil {
		return l.gone()
	}
	return l.fail(l.broke)
}
