// Package sample makes the steps that many cases play: of a Dockerfile, of a ready image,
// one that takes its time to build, one that says what its image was built with. They are
// plain values; nothing here touches a cluster.
//
// A marker is a word that finds the step's pods again: the specification of each contains
// it ([kiln/e2e/harness.Observer.Of]). Two steps with one marker and one Dockerfile want
// the same image.
package sample

import (
	"fmt"

	"kiln/e2e/harness"
	"kiln/e2e/runner"
)

// Build is a step of an action of one Dockerfile. The name of its image contains the
// marker.
func Build(marker, dockerfile string) (runner.Step, harness.Files) {
	dir := runner.ActionDir("acme/" + marker + "@v1")
	files := harness.Files{dir + "/Dockerfile": {Data: []byte(dockerfile)}}
	return runner.Step{Repository: "acme/" + marker, Dockerfile: dir + "/Dockerfile"}, files
}

// Shell is a step of a ready image that runs a script with its /bin/sh. The script goes
// by the environment, so that no quoting of arguments touches it.
func Shell(image, script string) runner.Step {
	return runner.Step{
		Image: image, EntryPoint: "/bin/sh", Args: []string{"-c", `eval "$SCRIPT"`},
		Env: map[string]string{"SCRIPT": script},
	}
}

// Ready is a step of busybox that runs a script; the specification of its pod has the
// marker.
func Ready(marker, script string) runner.Step {
	return runner.Step{Repository: "acme/app", Image: "busybox", EntryPoint: "sh", Args: []string{"-c", script, marker}}
}

// Shared is a step whose Dockerfile has one RUN, and whose action prints "the action ran".
// The name makes it one of its own; all runners that play it want the same image.
func Shared(name, run string) (runner.Step, harness.Files) {
	dir := runner.ActionDir("acme/" + name + "@v1")
	dockerfile := "FROM busybox\nRUN " + run + "\nENTRYPOINT [\"echo\", \"the action ran\"]\n"
	return runner.Step{Repository: "acme/app", Dockerfile: dir + "/Dockerfile"},
		harness.Files{dir + "/Dockerfile": {Data: []byte(dockerfile)}, dir + "/name": {Data: []byte(name)}}
}

// Ticking is a RUN that prints "tick 1 of the build" and counts to n, one a second.
func Ticking(n int) string {
	return fmt.Sprintf("i=0; while [ $i -lt %d ]; do i=$((i+1)); echo tick $i of the build; sleep 1; done", n)
}

// GreeterDir is the directory of the greeter, below the work folder.
const GreeterDir = "_actions/acme/greeter/v1"

// Greeter is an action that prints what was said when its image was built. Its step has
// debug logging, which shows the build key.
func Greeter(words string) (runner.Step, harness.Files) {
	step := runner.Step{
		Repository: "acme/app", Dockerfile: GreeterDir + "/Dockerfile",
		HookEnv: map[string]string{"RUNNER_DEBUG": "1"},
	}
	return step, harness.Files{
		GreeterDir + "/Dockerfile": {Data: []byte("FROM busybox\nCOPY words /words\nENTRYPOINT [\"cat\", \"/words\"]\n")},
		GreeterDir + "/words":      {Data: []byte(words + "\n")},
	}
}
