package kaniko

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Reason is a class of failures; the set is closed.
type Reason string

// The reasons of failed builds that the executor ended by itself.
const (
	ReasonRun          Reason = "run_failed"
	ReasonBaseMissing  Reason = "base_image_not_found"
	ReasonBaseDenied   Reason = "base_image_denied"
	ReasonBaseFailed   Reason = "base_image_failed"
	ReasonSource       Reason = "source_missing"
	ReasonPush         Reason = "push_failed"
	ReasonOutOfMemory  Reason = "out_of_memory"
	ReasonOutOfDisk    Reason = "out_of_disk"
	ReasonContext      Reason = "context_failed"
	ReasonInstruction  Reason = "instruction_failed"
	ReasonUnclassified Reason = "internal"
)

// Failure is why a build failed, for its author. A Dockerfile can forge it.
type Failure struct {
	// Reason is the class.
	Reason Reason
	// Message says what happened and what to do, in one line.
	Message string
	// Instruction is the instruction that failed, or empty.
	Instruction string
	// Image is the base image that the message is about, or empty.
	Image string
	// Source is the missing source of a COPY or ADD, or empty.
	Source string
}

// Failure explains a build that ended with exitCode. oomKilled says that the
// container ran out of memory.
func (l *Log) Failure(exitCode int32, oomKilled bool) Failure {
	if oomKilled {
		return Failure{
			Reason:      ReasonOutOfMemory,
			Message:     "the build ran out of memory: an operator has to raise KILN_BUILD_MEMORY",
			Instruction: l.Instruction,
		}
	}
	tail := l.last[max(0, len(l.last)-keptLines):]
	for _, line := range slices.Backward(tail) {
		if f, found := l.explain(line); found {
			return f
		}
	}
	return Failure{
		Reason:      ReasonUnclassified,
		Message:     fmt.Sprintf("Kaniko ended with exit code %d and gave no reason", exitCode),
		Instruction: l.Instruction,
	}
}

// The executor's last words, from pkg/executor and cmd/executor. Where a base
// image is missing, only the warning before them says why.
var (
	buildError = regexp.MustCompile(`^error building image: (?:error building stage: )?(.*)$`)
	pushError  = regexp.MustCompile(`^error pushing image: (?:failed to push to destination \S+: )?(.*)$`)
	flagError  = regexp.MustCompile(`^Error: (.*)$`)
	pullError  = regexp.MustCompile(`^Failed to retrieve image (\S+) from remapped registry \S+: (.*)\. Will try with the next registry`)
)

// explain reads one line from the end of the log.
func (l *Log) explain(line string) (Failure, bool) {
	if own, ok := parseRecord(line); ok {
		if found := pullError.FindStringSubmatch(own.Msg); found != nil {
			return baseFailure(found[1], found[2]), true
		}
		return Failure{}, false
	}
	if found := buildError.FindStringSubmatch(line); found != nil {
		if strings.HasPrefix(found[1], "image not found on any configured mapped registries") {
			return Failure{}, false
		}
		return l.buildFailure(found[1]), true
	}
	if found := pushError.FindStringSubmatch(line); found != nil {
		return Failure{
			Reason:  ReasonPush,
			Message: "the registry did not take the image: " + answer(found[1]),
		}, true
	}
	if found := flagError.FindStringSubmatch(line); found != nil {
		return Failure{Reason: ReasonContext, Message: "Kaniko did not start the build: " + Translate(found[1])}, true
	}
	return Failure{}, false
}

var (
	missingImage = regexp.MustCompile(`MANIFEST_UNKNOWN|NAME_UNKNOWN|NOT_FOUND|status code 404`)
	deniedImage  = regexp.MustCompile(`UNAUTHORIZED|DENIED|status code 40[13]`)
)

// baseFailure explains why an image cannot be pulled.
func baseFailure(image, text string) Failure {
	f := Failure{Reason: ReasonBaseFailed, Image: image, Message: fmt.Sprintf("the image %s cannot be pulled: %s", image, answer(text))}
	switch {
	case missingImage.MatchString(text):
		f.Reason = ReasonBaseMissing
		f.Message = fmt.Sprintf("the image %s does not exist: check its name and tag (%s)", image, answer(text))
	case deniedImage.MatchString(text):
		f.Reason = ReasonBaseDenied
		f.Message = fmt.Sprintf("the registry does not let kiln pull the image %s: it may not exist, or the operator's registry secret has no access to it (%s)", image, answer(text))
	}
	return f
}

// attempt is what the executor puts before a registry's answer: how often it
// tried, and the request to the gate.
var attempt = regexp.MustCompile(`^(unable to complete operation after \d+ attempts, last error: )?((GET|HEAD|POST|PATCH|PUT) https?://\S+: )?`)

// answer reduces an error of the executor to what the registry or the gate
// said.
func answer(text string) string {
	reduced := attempt.ReplaceAllString(text, "")
	return strings.TrimSuffix(strings.Replace(Translate(reduced), "UNAVAILABLE: kiln gate: ", "", 1), ".")
}

var (
	exited        = regexp.MustCompile(`waiting for process to exit: exit status (\d+)$`)
	signalled     = regexp.MustCompile(`waiting for process to exit: signal: (.+)$`)
	notStarted    = regexp.MustCompile(`failed to execute command: starting command: (?:fork/exec )?(.*)$`)
	missingSource = regexp.MustCompile(`failed to get fileinfo for /kaniko/(buildcontext|[^/ ]+)/(\S*): .*no such file or directory`)
	noSource      = regexp.MustCompile(`no source files specified`)
	noSpace       = regexp.MustCompile(`no space left on device`)
)

// buildFailure explains a failed instruction.
func (l *Log) buildFailure(text string) Failure {
	f := Failure{Reason: ReasonRun, Instruction: l.Instruction}
	if found := exited.FindStringSubmatch(text); found != nil {
		f.Message = fmt.Sprintf("%s failed with exit code %s%s", l.step(), found[1], exitHint(found[1]))
		return f
	}
	if found := signalled.FindStringSubmatch(text); found != nil {
		f.Message = fmt.Sprintf("%s was ended by the signal %q", l.step(), found[1])
		if found[1] == "killed" {
			f.Message += ": it may have run out of memory (KILN_BUILD_MEMORY)"
		}
		return f
	}
	if found := notStarted.FindStringSubmatch(text); found != nil {
		f.Message = fmt.Sprintf("%s could not be started: %s (the image may lack it, or have no shell)", l.step(), found[1])
		return f
	}
	if found := missingSource.FindStringSubmatch(text); found != nil {
		return sourceFailure(found[1], found[2])
	}
	switch {
	case noSource.MatchString(text):
		f.Reason = ReasonSource
		f.Message = "a COPY or ADD names files that are not there: check the path and .dockerignore"
	case noSpace.MatchString(text):
		f.Reason = ReasonOutOfDisk
		f.Message = "the build ran out of disk space: an operator has to raise KILN_BUILD_STORAGE or give the node more ephemeral storage"
	default:
		f.Reason = ReasonInstruction
		f.Message = Translate(strings.TrimPrefix(text, "failed to execute command: "))
		if strings.TrimSpace(f.Message) == "" {
			f.Message = l.step() + " failed, and Kaniko gave no reason"
		}
	}
	return f
}

// sourceFailure explains a COPY or ADD whose source is missing, in the context
// or in the stage or image that --from names. The executor looks before it
// begins the instruction, so the log does not say which one it is.
func sourceFailure(from, path string) Failure {
	f := Failure{Reason: ReasonSource, Source: path}
	if from == "buildcontext" {
		f.Message = fmt.Sprintf("%s is not in the build context, the directory of the Dockerfile: check the path and .dockerignore", path)
		return f
	}
	f.Source = "/" + path
	f.Message = fmt.Sprintf("/%s is not in the stage or image that is copied from", path)
	return f
}

// exitHint says what an exit code of a shell mostly means.
func exitHint(code string) string {
	switch code {
	case "126":
		return ": a command in it may not be executed, check its mode"
	case "127":
		return ": a command in it is not in the image"
	case "137":
		return ": a process of it was killed, it may have run out of memory (KILN_BUILD_MEMORY)"
	}
	return ""
}

// step names the instruction in a sentence.
func (l *Log) step() string {
	if l.Instruction == "" {
		return "a RUN step"
	}
	return shorten(l.Instruction)
}
