package imagebuild

import (
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"kiln/internal/failure"
	"kiln/internal/gate"
	"kiln/internal/kaniko"
	"kiln/internal/podrun"
	"kiln/internal/preflight"
	"kiln/internal/steplog"
)

// subject is what the errors of a build name.
type subject struct {
	place  steplog.Place // of the Dockerfile
	file   *preflight.File
	push   string // the image, where it is pushed to
	secret string // the name of the Secret for that, or empty
}

// ended reports whether one of the build's containers is over.
func ended(pod *corev1.Pod) bool {
	return podrun.Over(pod, kaniko.ContainerKaniko) || podrun.Over(pod, kaniko.ContainerGate)
}

// taken is the error of a pod that the cluster ended. What the build itself is
// to blame for is about the instruction that ran.
func (l *life) taken(why string) error {
	reason := podrun.Cause(l.pod)
	if reason != failure.DiskFull {
		return failure.New(reason, "the build was ended by the cluster: %s", why)
	}
	return l.blame(kaniko.Failure{
		Reason:      reason,
		Message:     "the build wrote more than it may (" + why + "): " + reason.Hint(),
		Instruction: l.words.instruction(),
	})
}

// badBase is the error of an image with a layer that Kaniko would unpack
// otherwise than Docker, or without what Kaniko needs, at the line that names the image.
func (l *life) badBase() error {
	image, found, _ := strings.Cut(l.badLayer, " ")
	at := l.about.place
	for _, named := range l.about.file.Images {
		if named.Reference == image {
			at.Line = named.Line
		}
	}
	if missing, ok := strings.CutPrefix(found, gate.Lacks); ok {
		return steplog.Fail(at, failure.UnsupportedInstruction,
			"the image %s lacks %s; use another base image, or write USER root and WORKDIR with a path behind FROM",
			steplog.OneLine(image), steplog.OneLine(missing))
	}
	return steplog.Fail(at, failure.UnsupportedInstruction,
		"a layer of the image %s %s: Kaniko unpacks it otherwise than Docker; use another base image, or one whose layers were joined to one",
		steplog.OneLine(image), steplog.OneLine(found))
}

// startError is the reason of a container whose process the runtime did not
// start (kuberuntime_container.go).
const startError = "StartError"

// Exit codes of a process that SIGKILL or SIGTERM ended (docker run's).
const (
	exitKilled     = 137
	exitTerminated = 143
)

// failure explains a build whose container ended by itself; it is errAgain where
// somebody removed the pod and Kaniko ended because of that.
func (l *life) failure() error {
	last, ok := podrun.Terminated(l.pod, kaniko.ContainerKaniko)
	switch {
	case !ok && l.pod.DeletionTimestamp != nil:
		return errAgain
	case !ok:
		return l.gateEnded()
	case last.Reason == startError:
		return failure.New(failure.NodeLost, "the node could not start Kaniko's container: %s", steplog.OneLine(last.Message))
	case last.ExitCode == 0:
		return l.unpushed()
	}
	found := l.words.failure(last.ExitCode, last.Reason == "OOMKilled")
	unexplained := found.Reason == failure.Evicted || found.Reason == failure.Internal
	// What a RUN printed last does not matter then: it goes on for a moment behind Kaniko.
	signalled := last.Reason != "OOMKilled" && (last.ExitCode == exitKilled || last.ExitCode == exitTerminated)
	if l.pod.DeletionTimestamp != nil && (unexplained || signalled) {
		return errAgain
	}
	if l.broke != nil && unexplained {
		return l.broke // it ended because of that, or that because of its end
	}
	switch found.Reason {
	case failure.Evicted:
		if l.working() && !l.arrived { // the pod's state may come before the stream's end
			found.Reason, found.Message = failure.ContextTransport, "the build context had not arrived: "+found.Message
		}
	case failure.RegistryUnreachable:
		found.Message += l.noted()
	case failure.RegistryDeniedPush:
		found.Message += "; " + pushHint(repository(l.about.push), l.about.secret)
	}
	return l.blame(found)
}

// errUnheard says that Kaniko has ended well and that the gate was not heard to push
// anything: the registry may know better.
var errUnheard = errors.New("the build reports success, but nobody knows what was pushed")

// unpushed is the error of a build that has ended well, without a word of the gate's.
func (l *life) unpushed() error {
	switch {
	case l.deaf != nil:
		return fmt.Errorf("%w: %w", errUnheard, l.deaf)
	case l.gate != gateListens:
		return failure.New(failure.ClusterUnreachable, "%w: the log of the pod's gate is silent: %s", errUnheard, failure.ClusterUnreachable.Hint())
	}
	text := "Kaniko reports success, but the gate saw no image being pushed" + l.deniedHint()
	return &failure.Error{Reason: failure.Internal, Message: text, Err: errUnheard}
}

// gateEnded is the error of a build whose gate ended before it. A gate that
// somebody killed says nothing about the settings.
func (l *life) gateEnded() error {
	if last, ok := podrun.Terminated(l.pod, kaniko.ContainerGate); ok && last.ExitCode == exitKilled {
		return failure.New(failure.Evicted, "the gate of the build pod was killed (exit code %d): the node, its memory limit, or somebody with access to it ended the container", last.ExitCode)
	}
	return failure.New(failure.Internal, "the gate of the build pod ended before the build did: an operator has to look at the registry settings%s", l.deniedHint())
}

// noted is what the gate said last of a registry: Kaniko asks by HEAD, and
// hears of a failure no more than its number.
func (l *life) noted() string {
	if l.note == "" {
		return ""
	}
	return " (" + steplog.OneLine(l.note) + ")"
}

// deniedHint tells what the gate refused last, if anything.
func (l *life) deniedHint() string {
	if l.denied == "" {
		return ""
	}
	return "; it refused " + steplog.OneLine(l.denied)
}

// blame is the error of a failure, at its place in the Dockerfile.
func (l *life) blame(found kaniko.Failure) error {
	line := 0
	if found.Instruction != "" {
		line = l.words.instructionLine()
	}
	if line <= 0 {
		line = l.about.line(found)
	}
	return l.about.at(line, found)
}

// line is the line of the Dockerfile that a failure is about, or 0.
func (s subject) line(found kaniko.Failure) int {
	if line := s.file.Line(found.Instruction, found.Image); line > 0 {
		return line
	}
	return s.file.SourceLine(found.Source)
}

// at is the error of a failure at a line of the Dockerfile, or at none.
func (s subject) at(line int, found kaniko.Failure) error {
	if line == 0 { // not the Dockerfile's fault
		return failure.New(found.Reason, "%s: %s", s.place.At(0), found.Message)
	}
	return steplog.Fail(s.place.At(line), found.Reason, "%s", found.Message)
}

// pushHint says what an operator has to look at when a registry refuses an
// image. Whether the Secret exists is for nobody to know here: kiln reads none.
func pushHint(repository, secret string) string {
	if secret == "" {
		return "an operator has to check that " + repository + " takes images without credentials, or to name a Secret with ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_SECRET_NAME"
	}
	return "an operator has to check that the Secret " + secret + " is there and that its credentials may push to " + repository
}
