package request

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"

	"kiln/internal/kaniko"
	"kiln/internal/podrun"
	"kiln/internal/preflight"
)

// How long a finished build may take to say so by its other channels.
const (
	tailGrace    = time.Second     // for the last lines of Kaniko's log
	verdictGrace = 5 * time.Second // for the gate's last word, or the pod's status
)

// build is one build pod from its creation on. Its fields belong to the
// goroutine of run.
type build struct {
	*step
	file     *preflight.Dockerfile
	name     string
	pod      *corev1.Pod // the latest state; nil before the first
	output   *kanikoLog
	gate     chan string // lines of the gate's log
	heard    chan error  // the outcome of reading them
	sent     chan error  // the outcome of sending the context
	began    time.Time   // when the context began to be sent
	deadline *time.Timer // of the present phase
	why      waiting

	gateFollowed bool
	gateListens  bool
	sending      bool
	digest       string
	deaf         error  // why the gate's log cannot be read
	denied       string // the gate's last refusal
	denials      int
}

// newBuild returns the build in the pod called name.
func newBuild(s *step, dockerfile *preflight.Dockerfile, name string) *build {
	return &build{
		step:     s,
		file:     dockerfile,
		name:     name,
		output:   newKanikoLog(s.log, dockerfile, s.claim.Request.Debug),
		gate:     make(chan string),
		heard:    make(chan error, 1),
		sent:     make(chan error, 1),
		deadline: time.NewTimer(s.Settings.PendingTimeout),
		why:      newWaiting(s, "Pod", name),
	}
}

// run handles what happens to the build pod until its image is pushed, whose
// digest it returns, or cannot be.
func (b *build) run(ctx context.Context) (string, error) {
	defer b.deadline.Stop()
	defer b.output.close()
	feed := startFeed(ctx, func(ctx context.Context, onChange podrun.OnChange) error {
		return b.Pods.Watch(ctx, b.name, onChange)
	})
	ticker := time.NewTicker(explainInterval)
	defer ticker.Stop()
	for b.digest == "" {
		var err error
		select {
		case <-ctx.Done():
			err = context.Cause(ctx)
		case b.pod = <-feed.pods:
			err = b.observe(ctx)
		case err = <-feed.done:
			err = lost("build pod", err)
		case line := <-b.gate:
			b.hear(ctx, line)
		case err = <-b.heard:
			err = b.unheard(ctx, err)
		case err = <-b.sent:
			err = b.unsent(ctx, err)
		case <-ticker.C:
			err = b.explain(ctx)
		case <-b.deadline.C:
			err = b.late()
		}
		if err != nil {
			return "", err
		}
	}
	b.times.mark("build")
	b.output.awaitPush(ctx, tailGrace)
	b.output.finish()
	return b.digest, nil
}

// observe acts on a new state of the pod.
func (b *build) observe(ctx context.Context) error {
	if !b.gateFollowed && started(b.pod, kaniko.ContainerGate) {
		b.gateFollowed = true
		go func() { b.heard <- b.followGate(ctx) }()
	}
	b.send(ctx)
	if ended(b.pod) {
		return b.verdict(ctx)
	}
	return b.nodeLost()
}

// nodeLost is the error of a pod whose node will not say any more how the build
// ends.
func (b *build) nodeLost() error {
	if b.pod == nil {
		return nil
	}
	if reason, lost := podrun.Lost(b.pod, kaniko.ContainerKaniko); lost {
		return failf("the build was ended by the cluster: %s", reason)
	}
	return nil
}

// followGate passes the lines of the gate's log on.
func (b *build) followGate(ctx context.Context) error {
	var line []byte
	return b.Pods.Follow(ctx, b.name, kaniko.ContainerGate, func(chunk []byte) error {
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

// unheard acts on the outcome of reading the gate's log. Without its lines a
// build would neither begin nor end; where the pod is over or gone, its state
// says more.
func (b *build) unheard(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil || errors.Is(err, podrun.ErrGone) {
		return nil //nolint:nilerr // what ended the reading is told elsewhere
	}
	b.deaf = fmt.Errorf("read the log of the build pod's gate: %w", err)
	if pod, err := b.Pods.Pod(ctx, b.name); errors.Is(err, podrun.ErrGone) || err == nil && ended(pod) {
		return nil
	}
	return b.deaf
}

// ended reports whether one of the build's containers is over.
func ended(pod *corev1.Pod) bool {
	return podrun.Over(pod, kaniko.ContainerKaniko) || podrun.Over(pod, kaniko.ContainerGate)
}

// hear acts on a line of the gate's log.
func (b *build) hear(ctx context.Context, line string) {
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "listening":
		b.gateListens = true
		b.send(ctx)
	case "pushed":
		b.digest = rest
	case "denied":
		b.deny(rest)
	}
}

// maxDenied is how many refusals of the gate the author sees: a RUN can cause
// as many as it likes.
const maxDenied = 10

// deny takes a refusal of the gate.
func (b *build) deny(what string) {
	b.denied = what
	b.logger.Warn("gate denied a request", zap.String("denied", what))
	if b.denials++; b.denials <= maxDenied {
		b.log.Line("kiln: the gate refused %s", oneLine(what))
	}
}

// send starts the build by sending the context, once the gate listens and
// Kaniko waits for its input.
func (b *build) send(ctx context.Context) {
	if b.sending || !b.gateListens || b.pod == nil || !podrun.Running(b.pod, kaniko.ContainerKaniko) {
		return
	}
	b.sending, b.began = true, time.Now()
	b.times.mark("schedule")
	b.deadline.Reset(b.Settings.BuildTimeout)
	go func() {
		b.sent <- b.sendContext(func(r io.Reader) error {
			return b.Pods.Attach(ctx, b.name, kaniko.ContainerKaniko, r)
		})
	}()
	go b.output.follow(func(sink func([]byte) error) error {
		return b.Pods.Follow(ctx, b.name, kaniko.ContainerKaniko, sink)
	})
}

// unsent acts on the outcome of sending the context. Where Kaniko has ended,
// its own words say more than a broken stream does.
func (b *build) unsent(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	b.sent = nil
	b.output.awaitEnd(ctx, verdictGrace)
	if b.output.ended() {
		return nil // the pod's next state brings the verdict
	}
	return fmt.Errorf("send the build context: %w", err)
}

// verdict says how the build ended, once one of its containers has.
func (b *build) verdict(ctx context.Context) error {
	if b.gateFollowed && b.awaitDigest(ctx) {
		return nil
	}
	if b.sending {
		b.output.awaitEnd(ctx, verdictGrace)
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if reason, failed := podrun.Failed(b.pod); failed {
		return failf("the build was ended by the cluster: %s", reason)
	}
	return b.failure()
}

// awaitDigest gives the gate time to say what was pushed, where Kaniko ended
// well.
func (b *build) awaitDigest(ctx context.Context) bool {
	end, ok := podrun.Terminated(b.pod, kaniko.ContainerKaniko)
	if !ok || end.ExitCode != 0 {
		return false
	}
	timeout := time.After(verdictGrace)
	for b.digest == "" {
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
	if b.sending {
		b.output.flush()
		b.log.Beat(b.doing)
		return nil
	}
	return b.why.look(ctx, b.pod)
}

// late is the error of a phase that took too long.
func (b *build) late() error {
	if b.sending {
		return failf("the build took longer than %s (KILN_BUILD_TIMEOUT); it was %s", b.Settings.BuildTimeout, b.doing())
	}
	return failf("the build pod did not start within %s (KILN_PENDING_TIMEOUT): %s", b.Settings.PendingTimeout, orUnknown(b.why.said))
}

// failure explains a build whose container ended by itself.
func (b *build) failure() error {
	end, ok := podrun.Terminated(b.pod, kaniko.ContainerKaniko)
	switch {
	case !ok:
		return failf("the gate of the build pod ended before the build did: an operator has to look at the registry settings%s", b.deniedHint())
	case end.ExitCode == 0 && b.deaf != nil:
		return fmt.Errorf("the build reports success, but nobody knows what was pushed: %w", b.deaf)
	case end.ExitCode == 0:
		return failf("Kaniko reports success, but the gate saw no image being pushed%s", b.deniedHint())
	}
	found := b.output.failure(end.ExitCode, end.Reason == "OOMKilled")
	if found.Reason == kaniko.ReasonPush {
		push, _ := b.Names.Image(b.claim.Request.Workspace, "tag")
		found.Message += "; " + pushHint(repository(push), b.Settings.RegistrySecret)
	}
	at := b.dockerfile()
	at.line = b.line(found)
	err := failf("%s: %s", at, found.Message)
	if at.line == 0 {
		return err // not the Dockerfile's fault
	}
	return &placedError{place: at, err: err}
}

// line is the line of the Dockerfile that a failure is about, or 0.
func (b *build) line(found kaniko.Failure) int {
	if found.Instruction != "" {
		if line := b.output.instructionLine(); line > 0 {
			return line
		}
	}
	if line := b.file.Line(found.Instruction, found.Image); line > 0 {
		return line
	}
	return b.file.SourceLine(found.Source)
}

// deniedHint tells what the gate refused last, if anything.
func (b *build) deniedHint() string {
	if b.denied == "" {
		return ""
	}
	return "; it refused " + oneLine(b.denied)
}

// orUnknown stands in for a reason that nobody gave.
func orUnknown(reason string) string {
	if reason == "" {
		return "the cluster gives no reason"
	}
	return reason
}

// pushHint says what an operator has to look at when a registry refuses an
// image. Whether the Secret exists is for nobody to know here: kiln reads none.
func pushHint(repository, secret string) string {
	if secret == "" {
		return "an operator has to check that " + repository + " takes images without credentials, or to name a Secret with ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_SECRET_NAME"
	}
	return "an operator has to check that the Secret " + secret + " is there and that its credentials may push to " + repository
}
