package action_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"kiln/internal/action"
	"kiln/internal/hook"
	"kiln/internal/spool"
)

// TestOpenOutlet: the agent gets the command line that the container would have had.
func TestOpenOutlet(t *testing.T) {
	for name, tt := range map[string]struct {
		step            hook.Container
		entrypoint, cmd []string
		want            []string
	}{
		"the image's":      {entrypoint: []string{"/run", "$x"}, cmd: []string{"a", "$(HOME)"}, want: []string{"/run", "$$x", "a", "$$(HOME)"}},
		"a CMD":            {cmd: []string{"sh", "-c", "true"}, want: []string{"sh", "-c", "true"}},
		"arguments":        {step: hook.Container{EntryPointArgs: []string{"b c"}}, entrypoint: []string{"/run"}, cmd: []string{"a"}, want: []string{"/run", "b", "c"}},
		"an entrypoint":    {step: hook.Container{EntryPoint: "/own"}, entrypoint: []string{"/run"}, cmd: []string{"a"}, want: []string{"/own"}},
		"both":             {step: hook.Container{EntryPoint: "/own", EntryPointArgs: []string{"$b"}}, entrypoint: []string{"/run"}, cmd: []string{"a"}, want: []string{"/own", "$$b"}},
		"arguments to CMD": {step: hook.Container{EntryPointArgs: []string{"b"}}, cmd: []string{"a"}, want: []string{"b"}},
	} {
		t.Run(name, func(t *testing.T) {
			job, err := action.Job(action.Step{Name: "x", Container: tt.step, WorkMount: "/w"})
			if err != nil {
				t.Fatal(err)
			}
			before := job.Spec.Template.Spec.Containers[0].VolumeMounts
			action.OpenOutlet(job, spool.Outlet{Dir: "d1", Token: "t1"}, tt.entrypoint, tt.cmd)
			c := job.Spec.Template.Spec.Containers[0]
			if diff := cmp.Diff([]string{"/__kiln/agent", "action", "/__kiln/door", "t1"}, c.Command); diff != "" {
				t.Errorf("command (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.want, c.Args); diff != "" {
				t.Errorf("arguments (-want +got):\n%s", diff)
			}
			mount := corev1.VolumeMount{Name: "work", MountPath: "/__kiln", SubPath: "_kiln/d1", ReadOnly: true}
			if diff := cmp.Diff(append(before, mount), c.VolumeMounts); diff != "" {
				t.Errorf("mounts (-want +got):\n%s", diff)
			}
			if always := c.ImagePullPolicy == corev1.PullAlways; always != (tt.step.EntryPoint == "") {
				t.Errorf("pull policy %q", c.ImagePullPolicy)
			}
			if pod := (&corev1.Pod{Spec: job.Spec.Template.Spec}); !action.HasOutlet(&pod.Spec) {
				t.Error("it has no outlet")
			}
		})
	}
}
