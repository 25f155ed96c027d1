package kaniko

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"kiln/internal/buildcontext"
	"kiln/internal/buildinit"
	"kiln/internal/failure"
)

// Failure is why a build failed, for its author. A Dockerfile can forge it.
type Failure struct {
	// Reason is the class.
	Reason failure.Reason
	// Message says what happened and what to do, in one line.
	Message string
	// Instruction is the instruction that failed, or empty.
	Instruction string
	// Image is the base image that the message is about, or empty.
	Image string
	// Source is the missing source of a COPY or ADD, or empty.
	Source string
}

// Exit codes of the executor. The exit code of a RUN is the executor's too.
const (
	exitOwn       = 1   // the executor's own errors; a RUN can have it as well
	exitSignalled = 255 // a signal ended the process of a RUN
	exitKilled    = 137 // SIGKILL ended the executor itself
)

// Failure explains a build that ended with exitCode. oomKilled says that the
// container ran out of memory.
//
// What the cluster says comes first, then the exit code, then the executor's
// last words: with another exit code than 1 it is a RUN that failed, whatever
// the log says. A RUN can end the executor with the exit code 1 and forge its
// last words; so what is tried again has to be counted.
func (l *Log) Failure(exitCode int32, oomKilled bool) Failure {
	if oomKilled {
		return Failure{
			Reason:      failure.OutOfMemory,
			Message:     "the build ran out of memory: an operator has to raise KILN_BUILD_MEMORY",
			Instruction: l.Instruction,
		}
	}
	if f, found := l.initSaid(exitCode); found {
		return f
	}
	found, explained := l.lastWords()
	incomplete, skipped := l.Incomplete()
	switch {
	case skipped && found.Reason != failure.RunFailed:
		return incomplete
	case explained && (exitCode == exitOwn || found.Reason == failure.RunFailed || exitCode == exitSignalled && found.Reason == failure.OutOfMemory):
		return found
	case !explained && exitCode == exitKilled:
		// From within its own PID namespace nothing can send SIGKILL to the
		// container's first process.
		return Failure{
			Reason:  failure.Evicted,
			Message: "Kaniko was killed (exit code 137): the node or somebody with access to it ended the container",
		}
	case exitCode != exitOwn && l.running():
		return l.exitFailure(strconv.Itoa(int(exitCode)))
	}
	return Failure{
		Reason:      failure.Internal,
		Message:     fmt.Sprintf("Kaniko ended with exit code %d and gave no reason", exitCode),
		Instruction: l.Instruction,
	}
}

// What the first process of the container says last, where the executor was not
// started or did not end by itself.
var (
	initCannot = regexp.MustCompile(`^` + buildinit.Prefix + `cannot start (\S+): (.*)$`)
	initAwaits = regexp.MustCompile(`^` + buildinit.Prefix + `(nobody listens at .*)$`)
	initEnded  = regexp.MustCompile(`^` + buildinit.Prefix + `\S+ was ended by the signal "(.*)"$`)
)

// initSaid explains a build whose executor was not started, or was ended by a
// signal: by a RUN, by somebody from outside, or by the kernel.
func (l *Log) initSaid(exitCode int32) (Failure, bool) {
	if len(l.last) == 0 || exitCode < buildinit.ExitNotExecutable {
		return Failure{}, false
	}
	last := l.last[len(l.last)-1]
	if found := initCannot.FindStringSubmatch(last); found != nil {
		return Failure{
			Reason: failure.Misconfigured,
			Message: fmt.Sprintf("the image of KILN_KANIKO_IMAGE does not start %s (%s): an operator has to name Kaniko's executor in it with KILN_KANIKO_EXECUTOR",
				found[1], found[2]),
		}, true
	}
	if found := initAwaits.FindStringSubmatch(last); found != nil {
		return Failure{Reason: failure.NodeLost, Message: "the gate of the build pod did not start in time: " + found[1]}, true
	}
	found := initEnded.FindStringSubmatch(last)
	switch {
	case found == nil:
		return Failure{}, false
	case found[1] == "killed":
		return Failure{
			Reason:      failure.OutOfMemory,
			Message:     "Kaniko itself was killed: it most likely ran out of memory, which KILN_BUILD_MEMORY limits",
			Instruction: l.Instruction,
		}, true
	}
	return Failure{Reason: failure.Internal, Message: fmt.Sprintf("Kaniko was ended by the signal %q", found[1]), Instruction: l.Instruction}, true
}

// Incomplete explains a build whose image lacks files, and reports whether it is
// one. The executor itself may end such a build well.
func (l *Log) Incomplete() (Failure, bool) {
	return Failure{
		Reason:      failure.UnsupportedInstruction,
		Message:     fmt.Sprintf("the image would lack files: Kaniko cannot go past the symbolic link %s, which leads back to itself or through a file; remove it in the instruction that makes it", l.Skipped),
		Instruction: l.skippedIn,
	}, l.Skipped != ""
}

// lastWords explains what the executor said last.
func (l *Log) lastWords() (Failure, bool) {
	tail := l.last[max(0, len(l.last)-keptLines):]
	for _, line := range slices.Backward(tail) {
		if f, found := l.explain(line); found {
			return f, true
		}
	}
	return Failure{}, false
}

// running reports whether a RUN was begun last.
func (l *Log) running() bool {
	return len(l.Instruction) > len("RUN") && strings.EqualFold(l.Instruction[:len("RUN")], "RUN")
}

// The executor's last words, from pkg/executor and cmd/executor. Where a base
// image is missing, only the warning before them says why.
var (
	buildError = regexp.MustCompile(`^error building image: (?:error building stage: )?(.*)$`)
	pushError  = regexp.MustCompile(`^error pushing image: (?:failed to push to destination \S+: )?(.*)$`)
	pushCheck  = regexp.MustCompile(`^error checking push permissions.*?checking push permission for "\S+": (.*)$`)
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
	for _, pattern := range []*regexp.Regexp{pushError, pushCheck} {
		if found := pattern.FindStringSubmatch(line); found != nil {
			return pushFailure(found[1]), true
		}
	}
	// Once an instruction was begun the executor's flags were in order.
	if found := flagError.FindStringSubmatch(line); found != nil && l.Instruction == "" {
		return flagFailure(found[1]), true
	}
	return Failure{}, false
}

// flagFailure explains why the executor did not begin: its flags, or the
// context on its standard input.
func flagFailure(text string) Failure {
	if strings.HasPrefix(text, "error resolving source context: ") {
		return Failure{
			Reason:  failure.ContextTransport,
			Message: "the build context did not arrive whole: " + Translate(text),
		}
	}
	return Failure{Reason: failure.Internal, Message: "Kaniko did not start the build: " + Translate(text)}
}

var (
	exited        = regexp.MustCompile(`waiting for process to exit: exit status (\d+)$`)
	signalled     = regexp.MustCompile(`waiting for process to exit: signal: (.+)$`)
	notStarted    = regexp.MustCompile(`failed to execute command: starting command: (?:fork/exec )?(.*)$`)
	missingSource = regexp.MustCompile(`failed to get fileinfo for /kaniko/(buildcontext/` + buildcontext.Dir + `|[^/ ]+)/(\S*): .*no such file or directory`)
	badReference  = regexp.MustCompile(`^could not parse reference: (.*)$`)
	parseError    = regexp.MustCompile(`^parsing dockerfile: (.*)$`)
)

// buildFailure explains a failed build by what the executor says of it.
func (l *Log) buildFailure(text string) Failure {
	f := Failure{Reason: failure.RunFailed, Instruction: l.Instruction}
	if found := exited.FindStringSubmatch(text); found != nil {
		return l.exitFailure(found[1])
	}
	if found := signalled.FindStringSubmatch(text); found != nil {
		f.Message = fmt.Sprintf("%s was ended by the signal %q", l.step(), found[1])
		if found[1] == "killed" {
			// Whether the node reports the container as out of memory, where
			// the kernel killed one process of it, is a matter of chance.
			f.Reason = failure.OutOfMemory
			f.Message += ": it most likely ran out of memory, which KILN_BUILD_MEMORY limits"
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
	if found := badReference.FindStringSubmatch(text); found != nil {
		return Failure{
			Reason:  failure.BaseImageNotFound,
			Message: fmt.Sprintf("Kaniko takes %q for no image: check its name, and the ARGs in it", found[1]),
			Image:   found[1],
		}
	}
	if found := parseError.FindStringSubmatch(text); found != nil {
		return Failure{Reason: failure.DockerfileSyntax, Message: "Kaniko cannot read the Dockerfile: " + found[1]}
	}
	return l.instructionFailure(text)
}

// instructionFailure explains what is not a RUN: the executor's own work on an
// instruction, or on the file system of a stage.
func (l *Log) instructionFailure(text string) Failure {
	f := Failure{Reason: failure.InstructionFailed, Instruction: l.Instruction}
	said := Translate(strings.TrimPrefix(text, "failed to execute command: "))
	unpacking := strings.HasPrefix(text, "failed to get filesystem from image: ")
	switch {
	case strings.Contains(text, "no source files specified"):
		f.Reason = failure.SourceMissing
		f.Message = "a COPY or ADD names files that are not there: check the path and .dockerignore"
	case strings.Contains(text, "no space left on device"):
		f.Reason = failure.DiskFull
		f.Message = "the build ran out of disk space: an operator has to raise KILN_BUILD_STORAGE or give the node more ephemeral storage"
	case unpacking && unreachable(text):
		f.Reason = failure.RegistryUnreachable
		f.Message = "the base image cannot be pulled: " + answer(strings.TrimPrefix(text, "failed to get filesystem from image: "))
	case unpacking:
		f.Reason = failure.Internal
		f.Message = "Kaniko cannot unpack the base image: " + said
	case strings.TrimSpace(said) == "":
		f.Message = l.step() + " failed, and Kaniko gave no reason"
	default:
		f.Message = said + after("; ", hintIn([]string{text}))
	}
	return f
}

// exitFailure explains a RUN that ended with an exit code.
func (l *Log) exitFailure(code string) Failure {
	hint := cmp.Or(exitHint(code), hintIn(l.output()))
	return Failure{
		Reason:      failure.RunFailed,
		Message:     fmt.Sprintf("%s failed with exit code %s", l.step(), code) + after(": ", hint),
		Instruction: l.Instruction,
	}
}

// sourceFailure explains a COPY or ADD whose source is missing, in the context
// or in the stage or image that --from names. The executor looks before it
// begins the instruction, so the log does not say which one it is.
func sourceFailure(from, path string) Failure {
	f := Failure{Reason: failure.SourceMissing, Source: path}
	if from == "buildcontext/"+buildcontext.Dir {
		f.Message = fmt.Sprintf("%s is not in the build context, the directory of the Dockerfile: check the path and .dockerignore", path)
		return f
	}
	f.Source = "/" + path
	f.Message = fmt.Sprintf("/%s is not in the stage or image that is copied from", path)
	return f
}

// after is hint behind a separator, "" for none.
func after(separator, hint string) string {
	if hint == "" {
		return ""
	}
	return separator + hint
}

// step names the instruction in a sentence.
func (l *Log) step() string {
	if l.Instruction == "" {
		return "a RUN step"
	}
	return shorten(l.Instruction)
}
