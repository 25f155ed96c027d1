package request

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"kiln/internal/failure"
	"kiln/internal/kaniko"
	"kiln/internal/podrun"
	"kiln/internal/steplog"
)

// followGate passes the lines of the gate's log on.
func (b *build) followGate(ctx context.Context) error {
	var line []byte
	return b.step.handler.pods.Follow(ctx, b.name, kaniko.ContainerGate, func(chunk []byte) error {
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
	if pod, err := b.step.handler.pods.Pod(ctx, b.name); errors.Is(err, podrun.ErrGone) || err == nil && ended(pod) {
		return nil
	}
	return b.deaf
}

// hear acts on a line of the gate's log.
func (b *build) hear(ctx context.Context, line string) {
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "listening":
		b.gateListens = true
		b.awaitContext()
		b.send(ctx)
	case "pushed":
		b.digest = rest
	case "kept":
		b.kept = true
	case "unfit":
		b.unfit = b.unfitBase(rest)
	case "denied":
		b.deny(rest)
	case "#":
		if !strings.Contains(rest, "context canceled") { // Kaniko waited no longer
			b.note = rest
		}
	}
}

// unfitBase is the error of an image with a layer that Kaniko would unpack
// otherwise than Docker, at the line that names the image.
func (b *build) unfitBase(what string) error {
	image, found, _ := strings.Cut(what, " ")
	at := b.step.dockerfile()
	for _, named := range b.plan.file.Images {
		if named.Reference == image {
			at.Line = named.Line
		}
	}
	return &steplog.PlacedError{Place: at, Err: failure.New(failure.UnsupportedInstruction,
		"%s: a layer of the image %s %s: Kaniko unpacks it otherwise than Docker; use another base image, or one whose layers were joined to one",
		at, steplog.OneLine(image), steplog.OneLine(found))}
}

// awaitUnfit gives the gate time to say why it has cut a layer off, where Kaniko
// fails without an instruction.
func (b *build) awaitUnfit(ctx context.Context) {
	end, ok := podrun.Terminated(b.pod, kaniko.ContainerKaniko)
	if !ok || end.ExitCode == 0 || b.output.failure(end.ExitCode, false).Instruction != "" {
		return
	}
	timeout := time.After(tailGrace)
	for len(b.plan.inspect) > 0 && b.unfit == nil {
		select {
		case line := <-b.gate:
			b.hear(ctx, line)
		case <-timeout:
			return
		case <-ctx.Done():
			return
		}
	}
}

// noted is what the gate said last of a registry: Kaniko asks by HEAD, and
// hears of a failure no more than its number.
func (b *build) noted() string {
	if b.note == "" {
		return ""
	}
	return " (" + steplog.OneLine(b.note) + ")"
}

// maxDenied is how many refusals of the gate the author sees: a RUN can cause
// as many as it likes.
const maxDenied = 10

// deny takes a refusal of the gate.
func (b *build) deny(what string) {
	b.denied = what
	b.step.handler.metrics.GateDenied()
	b.step.logger.Warn("gate denied a request", zap.String("denied", what))
	if b.denials++; b.denials <= maxDenied {
		b.step.log.Line("kiln: the gate refused %s", steplog.OneLine(what))
	}
}

// deniedHint tells what the gate refused last, if anything.
func (b *build) deniedHint() string {
	if b.denied == "" {
		return ""
	}
	return "; it refused " + steplog.OneLine(b.denied)
}
