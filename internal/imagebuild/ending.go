package imagebuild

import (
	"errors"

	"kiln/internal/kaniko"
	"kiln/internal/podrun"
)

// ended begins the verdict, once a container has ended: where Kaniko ended well, the
// gate gets time to say what was pushed.
func (l *life) ended() []effect {
	last, ok := podrun.Terminated(l.pod, kaniko.ContainerKaniko)
	if l.gate != gateAway && ok && last.ExitCode == 0 && l.deaf == nil {
		l.phase = unsaid
		return []effect{{act: setGrace, after: verdictGrace}}
	}
	return l.worded()
}

// worded goes on without the gate's word: Kaniko's last lines may be to come.
func (l *life) worded() []effect {
	if !l.working() && !l.knocked || l.words.said(end) {
		return l.exhausted()
	}
	l.phase = unread
	return []effect{{act: setGrace, after: verdictGrace}}
}

// exhausted goes on after Kaniko's last lines: where it failed without an instruction,
// the gate gets time to say why it has cut a layer off.
func (l *life) exhausted() []effect {
	if reason, failed := podrun.Failed(l.pod); failed {
		return l.fail(l.taken(reason))
	}
	last, ok := podrun.Terminated(l.pod, kaniko.ContainerKaniko)
	if ok && last.ExitCode != 0 && l.inspects && l.badLayer == "" && l.words.failure(last.ExitCode, false).Instruction == "" {
		l.phase = suspect
		return []effect{{act: setGrace, after: cutGrace}}
	}
	return l.judge()
}

// judge ends the build with its verdict.
func (l *life) judge() []effect {
	if l.badLayer != "" {
		return l.fail(l.badBase())
	}
	err := l.failure()
	if errors.Is(err, errAgain) {
		return l.gone()
	}
	return l.fail(err)
}
