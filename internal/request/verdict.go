package request

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"

	"kiln/internal/failure"
	"kiln/internal/kaniko"
	"kiln/internal/podrun"
	"kiln/internal/steplog"
)

// nodeLost is the error of a pod whose node will not say any more how the build
// ends.
func (b *build) nodeLost() error {
	if b.pod == nil {
		return nil
	}
	if reason, lost := podrun.Lost(b.pod, kaniko.ContainerKaniko); lost {
		return b.taken(reason)
	}
	return nil
}

// ended reports whether one of the build's containers is over.
func ended(pod *corev1.Pod) bool {
	return podrun.Over(pod, kaniko.ContainerKaniko) || podrun.Over(pod, kaniko.ContainerGate)
}

// incomplete ends a build whose image would lack files: Kaniko says so in
// passing and pushes it.
func (b *build) incomplete() error {
	why, line := b.output.missing()
	return b.at(line, why)
}

// unsent acts on the outcome of sending the context. Where Kaniko has ended,
// its own words say more than a broken stream does.
func (b *build) unsent(ctx context.Context, err error) error {
	if err == nil {
		b.step.logger.Info("context sent", zap.String("pod", b.name))
		return nil
	}
	b.sent = nil
	b.cut = failure.New(failure.ContextTransport, "the build context did not arrive whole: %w", err)
	b.output.awaitEnd(ctx, verdictGrace)
	if b.output.ended() {
		return nil // the pod's next state brings the verdict
	}
	return b.cut
}

// verdict says how the build ended, once one of its containers has.
func (b *build) verdict(ctx context.Context) error {
	if b.gateFollowed && b.awaitDigest(ctx) {
		return nil
	}
	if b.working {
		b.output.awaitEnd(ctx, verdictGrace)
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if reason, failed := podrun.Failed(b.pod); failed {
		return b.taken(reason)
	}
	if b.awaitUnfit(ctx); b.unfit != nil {
		return b.unfit
	}
	return b.failure()
}

// taken is the error of a pod that the cluster ended. What the build itself is
// to blame for is about the instruction that ran.
func (b *build) taken(why string) error {
	reason := podrun.Cause(b.pod)
	if reason != failure.DiskFull {
		return failure.New(reason, "the build was ended by the cluster: %s", why)
	}
	return b.about(kaniko.Failure{
		Reason:      reason,
		Message:     "the build wrote more than it may (" + why + "): " + reason.Hint(),
		Instruction: b.output.instruction(),
	})
}

// awaitDigest gives the gate time to say what was pushed, where Kaniko ended
// well.
func (b *build) awaitDigest(ctx context.Context) bool {
	end, ok := podrun.Terminated(b.pod, kaniko.ContainerKaniko)
	if !ok || end.ExitCode != 0 {
		return false
	}
	timeout := time.After(verdictGrace)
	for b.digest == "" && !b.kept {
		select {
		case line := <-b.gate:
			b.hear(ctx, line)
		case err := <-b.heard:
			if _ = b.unheard(ctx, err); b.deaf != nil {
				return false
			}
		case <-timeout:
			return false
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// explain says why the pod does not start, and what a silent build is at. The
// loss of a node shows in no new state of the pod: time tells it.
func (b *build) explain(ctx context.Context) error {
	if err := b.nodeLost(); err != nil {
		return err
	}
	if b.working {
		b.step.log.Beat(b.doing)
		return nil
	}
	return b.why.Look(ctx, b.pod)
}

// late is the error of a phase that took too long. A creator that does not
// send the context has died: its pod is removed, and the build begins anew.
func (b *build) late(ctx context.Context) error {
	switch {
	case b.working:
		return failure.New(failure.Deadline, "the build took longer than %s (KILN_BUILD_TIMEOUT); it was %s", b.step.handler.operator.Settings.BuildTimeout, b.doing())
	case b.waitsForContext():
		b.step.log.Line("kiln: whoever began the build has not sent its context for %s, beginning anew", contextGrace)
		return b.step.remove(ctx, b.pod)
	}
	return b.why.Late("the build pod", b.step.handler.operator.Settings.PendingTimeout)
}

// startError is the reason of a container whose process the runtime did not
// start (kuberuntime_container.go).
const startError = "StartError"

// exitKilled is the exit code of a process that SIGKILL ended (docker run's).
const exitKilled = 137

// failure explains a build whose container ended by itself.
func (b *build) failure() error {
	end, ok := podrun.Terminated(b.pod, kaniko.ContainerKaniko)
	switch {
	case !ok:
		return b.gateEnded()
	case end.Reason == startError:
		return failure.New(failure.NodeLost, "the node could not start Kaniko's container: %s", steplog.OneLine(end.Message))
	case end.ExitCode == 0 && b.deaf != nil:
		return fmt.Errorf("the build reports success, but nobody knows what was pushed: %w", b.deaf)
	case end.ExitCode == 0:
		return failure.New(failure.Internal, "Kaniko reports success, but the gate saw no image being pushed%s", b.deniedHint())
	}
	found := b.output.failure(end.ExitCode, end.Reason == "OOMKilled")
	if b.cut != nil && (found.Reason == failure.Evicted || found.Reason == failure.Internal) {
		return b.cut // it ended because of that, or that because of its end
	}
	if b.pod.DeletionTimestamp != nil && (found.Reason == failure.Evicted || found.Reason == failure.Internal) {
		return b.gone(podrun.ErrGone) // somebody removed the pod, and Kaniko ended because of that
	}
	switch found.Reason {
	case failure.Evicted:
		if b.working && b.arrival != nil { // the pod's state may come before the stream's end
			found.Reason, found.Message = failure.ContextTransport, "the build context had not arrived: "+found.Message
		}
	case failure.RegistryUnreachable:
		found.Message += b.noted()
	case failure.RegistryDeniedPush:
		found.Message += "; " + pushHint(repository(b.plan.push), b.step.handler.operator.Settings.RegistrySecret)
	}
	return b.about(found)
}

// gateEnded is the error of a build whose gate ended before it. A gate that
// somebody killed says nothing about the settings.
func (b *build) gateEnded() error {
	if end, ok := podrun.Terminated(b.pod, kaniko.ContainerGate); ok && end.ExitCode == exitKilled {
		return failure.New(failure.Evicted, "the gate of the build pod was killed (exit code %d): the node, its memory limit, or somebody with access to it ended the container", end.ExitCode)
	}
	return failure.New(failure.Internal, "the gate of the build pod ended before the build did: an operator has to look at the registry settings%s", b.deniedHint())
}

// about is the error of a failure, at its place in the Dockerfile.
func (b *build) about(found kaniko.Failure) error { return b.at(b.line(found), found) }

// at is the error of a failure at a line of the Dockerfile, or at none.
func (b *build) at(line int, found kaniko.Failure) error {
	at := b.step.dockerfile()
	at.Line = line
	err := failure.New(found.Reason, "%s: %s", at, found.Message)
	if at.Line == 0 {
		return err // not the Dockerfile's fault
	}
	return &steplog.PlacedError{Place: at, Err: err}
}

// line is the line of the Dockerfile that a failure is about, or 0.
func (b *build) line(found kaniko.Failure) int {
	if found.Instruction != "" {
		if line := b.output.instructionLine(); line > 0 {
			return line
		}
	}
	if line := b.plan.file.Line(found.Instruction, found.Image); line > 0 {
		return line
	}
	return b.plan.file.SourceLine(found.Source)
}

// pushHint says what an operator has to look at when a registry refuses an
// image. Whether the Secret exists is for nobody to know here: kiln reads none.
func pushHint(repository, secret string) string {
	if secret == "" {
		return "an operator has to check that " + repository + " takes images without credentials, or to name a Secret with ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_SECRET_NAME"
	}
	return "an operator has to check that the Secret " + secret + " is there and that its credentials may push to " + repository
}
