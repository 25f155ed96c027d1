package kaniko

import (
	"fmt"
	"regexp"
	"strings"
)

// Failure is why a build failed, for its author.
type Failure struct {
	// Message says what happened and what to do, in one line.
	Message string
	// Instruction is the instruction that failed, or empty.
	Instruction string
	// Image is the base image that the message is about, or empty.
	Image string
}

// cause is one known last line of the executor.
type cause struct {
	pattern *regexp.Regexp
	explain func(found []string, l *Log) Failure
}

// causes lists the executor's last words, most telling first. The texts are
// those of pkg/executor and cmd/executor; registry codes are those of the OCI
// distribution specification.
func causes() []cause {
	return []cause{
		{regexp.MustCompile(`Failed to retrieve image (\S+) from remapped registry.*(MANIFEST_UNKNOWN|NAME_UNKNOWN|404|not found)`), func(found []string, _ *Log) Failure {
			image := Translate(found[1])
			return Failure{Message: fmt.Sprintf("the base image %s does not exist: check its name and tag", image), Image: image}
		}},
		{regexp.MustCompile(`Failed to retrieve image (\S+) from remapped registry.*(UNAUTHORIZED|DENIED|401|403)`), func(found []string, _ *Log) Failure {
			image := Translate(found[1])
			return Failure{Message: fmt.Sprintf("the registry does not let kiln pull the base image %s: it may not exist, or an operator has to give the registry secret access to it", image), Image: image}
		}},
		{regexp.MustCompile(`Failed to retrieve image (\S+) from remapped registry \S+: (.*?)\. Will try with`), func(found []string, _ *Log) Failure {
			image := Translate(found[1])
			return Failure{Message: fmt.Sprintf("the base image %s cannot be pulled: %s", image, Translate(found[2])), Image: image}
		}},
		{regexp.MustCompile(`failed to get fileinfo for (\S+): .*no such file or directory`), func(found []string, l *Log) Failure {
			return Failure{Message: fmt.Sprintf("%s is not in the build context, the directory of the Dockerfile: check the path and .dockerignore", strings.TrimPrefix(found[1], "/kaniko/buildcontext/")), Instruction: l.Instruction}
		}},
		{regexp.MustCompile(`copy failed: no source files specified|no source files specified`), func(_ []string, l *Log) Failure {
			return Failure{Message: "a COPY or ADD names files that are not in the build context, the directory of the Dockerfile: check the path and .dockerignore", Instruction: l.Instruction}
		}},
		{regexp.MustCompile(`error pushing image: .*?: (.*)$`), func(found []string, _ *Log) Failure {
			return Failure{Message: "the registry did not take the image: " + Translate(found[1]) + ": an operator has to check the registry host and its secret"}
		}},
		{regexp.MustCompile(`failed to execute command: starting command: (.*)$`), func(found []string, l *Log) Failure {
			return Failure{Message: fmt.Sprintf("%s could not be started: %s: the image may have no shell at this point", orStep(l), found[1]), Instruction: l.Instruction}
		}},
		{regexp.MustCompile(`no space left on device`), func([]string, *Log) Failure {
			return Failure{Message: "the build ran out of disk space: an operator has to raise KILN_BUILD_STORAGE or give the node more ephemeral storage"}
		}},
		{regexp.MustCompile(`^error building image: (?:error building stage: )?(.*)$`), func(found []string, l *Log) Failure {
			return Failure{Message: Translate(found[1]), Instruction: l.Instruction}
		}},
		{regexp.MustCompile(`^Error: (.*)$`), func(found []string, _ *Log) Failure {
			return Failure{Message: "Kaniko did not start the build: " + Translate(found[1])}
		}},
	}
}

// runExit is how the executor says that a RUN step ended.
var runExit = regexp.MustCompile(`waiting for process to exit: (exit status (\d+)|signal: (\S+))`)

// Failure explains a build that ended with exitCode. oomKilled says that the
// container ran out of memory.
func (l *Log) Failure(exitCode int32, oomKilled bool) Failure {
	if oomKilled {
		return Failure{Message: "the build ran out of memory: an operator has to raise KILN_BUILD_MEMORY", Instruction: l.Instruction}
	}
	tail := l.last[max(0, len(l.last)-keptLines):]
	if len(tail) > 0 {
		if found := runExit.FindStringSubmatch(tail[len(tail)-1]); found != nil {
			return l.runFailure(found)
		}
	}
	for _, c := range causes() {
		for i := len(tail) - 1; i >= 0; i-- {
			if found := c.pattern.FindStringSubmatch(text(tail[i])); found != nil {
				return c.explain(found, l)
			}
		}
	}
	return Failure{Message: fmt.Sprintf("Kaniko ended with exit code %d and gave no reason", exitCode), Instruction: l.Instruction}
}

// runFailure explains a RUN step that failed.
func (l *Log) runFailure(found []string) Failure {
	if found[2] != "" {
		return Failure{Message: fmt.Sprintf("%s failed with exit code %s", orStep(l), found[2]), Instruction: l.Instruction}
	}
	message := fmt.Sprintf("%s was ended by the signal %q", orStep(l), found[3])
	if found[3] == "killed" {
		message += ": it may have run out of memory (KILN_BUILD_MEMORY)"
	}
	return Failure{Message: message, Instruction: l.Instruction}
}

// text is a line's message where it is the executor's own, else the line.
func text(line string) string {
	if own, ok := parseRecord(line); ok {
		return own.Msg
	}
	return line
}

// orStep names the instruction in a sentence.
func orStep(l *Log) string {
	const most = 120
	instruction := l.Instruction
	switch {
	case instruction == "":
		return "a RUN step"
	case len(instruction) > most:
		return strings.ToValidUTF8(instruction[:most], "") + "…"
	default:
		return instruction
	}
}
