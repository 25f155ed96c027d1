package doctor

import (
	"context"
	"fmt"
	"path"

	corev1 "k8s.io/api/core/v1"

	"kiln/internal/install"
)

// envJobStarted names the script that the runner executes at the start of a job.
const envJobStarted = "ACTIONS_RUNNER_HOOK_JOB_STARTED"

// jobStarted looks whether a job's start reaches kiln, where images are to be built ahead
// of their steps.
func (e *examination) jobStarted(ctx context.Context) []Finding {
	switch {
	case e.settings == nil:
		return skip("settings are not known")
	case e.settings.Prebuild == 0:
		return ok("nothing is built ahead of steps (KILN_PREBUILD is 0)")
	}
	return e.eachPod(jobStartedFindings, "the start of a job is kiln's, or nobody's")(ctx)
}

// jobStartedFindings looks for a script that is called in the place of kiln's.
func jobStartedFindings(pod *corev1.Pod) []Finding {
	runner, _ := container(pod, containerRunner)
	hook := hookPath(pod, runner)
	value, _ := variable(runner, envJobStarted)
	want := path.Join(path.Dir(hook), install.JobStarted)
	if value == "" || hook == "" || value == want {
		return nil
	}
	return warn(fmt.Sprintf("%s is %q: the start of a job does not reach kiln, and no image is built ahead of its step", envJobStarted, value),
		"set it to "+want+" and name your own script in KILN_JOB_STARTED, both on the runner container; or set KILN_PREBUILD to 0")
}
