package podrun

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// endedAs is a pod whose container terminated like that.
func endedAs(end corev1.ContainerStateTerminated) *corev1.Pod {
	pod := with(aPod("1"), exits(0))
	pod.Status.ContainerStatuses[0].State.Terminated = &end
	return pod
}

func TestTerminated(t *testing.T) {
	runc := func(text string) string {
		return "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: " +
			"unable to start container process: error during container init: exec: " + text + ": unknown"
	}
	tests := map[string]struct {
		end  corev1.ContainerStateTerminated
		want int32
	}{
		"success":                {corev1.ContainerStateTerminated{}, 0},
		"the program's own code": {corev1.ContainerStateTerminated{ExitCode: 42, Reason: "Error"}, 42},
		"the program's own 128":  {corev1.ContainerStateTerminated{ExitCode: 128, Reason: "Error", Message: "no such file or directory"}, 128},
		"not in PATH": {corev1.ContainerStateTerminated{
			ExitCode: 128, Reason: "StartError", Message: runc(`"nope": executable file not found in $PATH`),
		}, 127},
		"no file": {corev1.ContainerStateTerminated{
			ExitCode: 128, Reason: "StartError", Message: runc(`"/nope": stat /nope: no such file or directory`),
		}, 127},
		"not executable": {corev1.ContainerStateTerminated{
			ExitCode: 128, Reason: "StartError", Message: runc(`"/etc/passwd": permission denied`),
		}, 126},
		"a directory": {corev1.ContainerStateTerminated{
			ExitCode: 128, Reason: "ContainerCannotRun", Message: runc(`"/etc": is a directory`),
		}, 126},
		"another start error": {corev1.ContainerStateTerminated{ExitCode: 128, Reason: "StartError", Message: "context deadline exceeded"}, 128},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			pod := endedAs(test.end)
			got, ok := Terminated(pod, "job")
			if !ok || got.ExitCode != test.want {
				t.Errorf("exit code = %v, %v, want %d", got, ok, test.want)
			}
			if pod.Status.ContainerStatuses[0].State.Terminated.ExitCode != test.end.ExitCode {
				t.Error("the pod was changed")
			}
		})
	}
	for name, pod := range map[string]*corev1.Pod{"pending": aPod("1"), "running": with(aPod("1"), runs)} {
		if _, ok := Terminated(pod, "job"); ok {
			t.Errorf("a %s container has terminated", name)
		}
	}
	if _, ok := Terminated(with(aPod("1"), exits(0)), "gate"); ok {
		t.Error("an unknown container has terminated")
	}
}

func TestFailed(t *testing.T) {
	failed := func(reason, message string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Status.Phase, p.Status.Reason, p.Status.Message = corev1.PodFailed, reason, message
		}
	}
	disrupted := func(p *corev1.Pod) {
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{
			Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "DeletionByTaintManager", Message: "Taint manager: deleting due to NoExecute taint",
		})
	}
	tests := map[string]struct {
		pod  *corev1.Pod
		want string
	}{
		"evicted": {
			with(aPod("1"), failed("Evicted", "The node was low on resource:\n  ephemeral-storage.")),
			"Evicted: The node was low on resource: ephemeral-storage.",
		},
		"deadline":              {with(aPod("1"), failed("DeadlineExceeded", "")), "DeadlineExceeded"},
		"node lost":             {with(aPod("1"), runs, disrupted), "DeletionByTaintManager: Taint manager: deleting due to NoExecute taint"},
		"a container failed":    {with(aPod("1"), exits(1), failed("", "")), ""},
		"running":               {with(aPod("1"), runs), ""},
		"succeeded with reason": {with(aPod("1"), exits(0)), ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, ok := Failed(test.pod)
			if got != test.want || ok != (test.want != "") {
				t.Errorf("Failed = %q, %v, want %q", got, ok, test.want)
			}
		})
	}
}

func TestLost(t *testing.T) {
	now := time.Now()
	deleted := func(late time.Duration) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.DeletionTimestamp = new(metav1.NewTime(now.Add(-late))) }
	}
	onNode := func(p *corev1.Pod) { p.Spec.NodeName = "n1" }
	disrupted := func(status corev1.ConditionStatus) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: status, Reason: "DeletionByTaintManager"}}
		}
	}
	const silent = "the pod was deleted and its node n1 does not answer"
	tests := map[string]struct {
		pod  *corev1.Pod
		want string
	}{
		"running":                    {with(aPod("1"), runs), ""},
		"in its grace":               {with(aPod("1"), runs, deleted(-time.Second)), ""},
		"just after it":              {with(aPod("1"), runs, deleted(deletionLag)), ""},
		"long after it":              {with(aPod("1"), runs, onNode, deleted(deletionLag+time.Second)), silent},
		"but it has ended":           {with(aPod("1"), exits(0), deleted(time.Hour)), ""},
		"given up":                   {with(aPod("1"), runs, disrupted(corev1.ConditionTrue), deleted(time.Second)), "DeletionByTaintManager"},
		"given up, in its grace":     {with(aPod("1"), runs, disrupted(corev1.ConditionTrue), deleted(-time.Second)), ""},
		"given up, but not deleted":  {with(aPod("1"), runs, disrupted(corev1.ConditionTrue)), ""},
		"was to be given up, is not": {with(aPod("1"), runs, disrupted(corev1.ConditionFalse), deleted(time.Second)), ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, lost := lostAt(test.pod, "job", now)
			if lost != (test.want != "") || lost && got != test.want {
				t.Errorf("lost = %q, %v, want %q", got, lost, test.want)
			}
		})
	}
}

func TestOverAndRunning(t *testing.T) {
	tests := map[string]struct {
		pod           *corev1.Pod
		over, running bool
	}{
		"pending":    {aPod("1"), false, false},
		"running":    {with(aPod("1"), runs), false, true},
		"terminated": {with(aPod("1"), exits(1)), true, false},
		"evicted":    {with(aPod("1"), func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }), true, false},
	}
	for name, test := range tests {
		if over, running := Over(test.pod, "job"), Running(test.pod, "job"); over != test.over || running != test.running {
			t.Errorf("%s: over = %v, running = %v", name, over, running)
		}
	}
}

func TestSentenceIsOneBoundedLine(t *testing.T) {
	got := sentence("reason", "a\r\n::add-mask::x\n"+strings.Repeat("é", messageMax))
	if strings.ContainsAny(got, "\r\n") || len(got) > messageMax+50 || !strings.HasPrefix(got, "reason: a ::add-mask::x é") {
		t.Errorf("sentence = %q", got)
	}
}
