//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/sample"
	"kiln/e2e/suite"
)

// TestChaos kills the workers of two runners every ten seconds and deletes the pod of each
// build at most twice, for KILN_CHAOS under six steps at a time of all kinds: workers and
// build pods cost no step, no line is lost or doubled, no step succeeds that should not,
// and nothing stays. Only an action whose own pod is deleted fails, and the steps of a job whose
// container is.
func TestChaos(t *testing.T) {
	lasts, err := time.ParseDuration(os.Getenv("KILN_CHAOS"))
	if err != nil {
		t.Skip("make chaos runs it")
	}
	f := suite.New(t, "chaos", func(s suite.Stage, o *harness.PodOptions) {
		o.ShareProcesses, o.Adjust = true, func(pod *corev1.Pod) { harness.KillWorkers(pod, s.Busybox(), 10) }
	})
	ofJob := f.Another(t, "runner-of-job", func(o *harness.PodOptions) {
		o.ShareProcesses, o.Adjust = true, func(pod *corev1.Pod) { harness.KillWorkers(pod, f.Busybox(), 10) }
	})
	bringCountingNode(t, ofJob)
	c := &chaos{until: time.Now().Add(lasts), victims: map[types.UID]bool{}}
	ctx, cancel := context.WithCancel(t.Context())
	deletes := sync.WaitGroup{}
	deletes.Go(func() { c.deletePods(ctx, f) })
	t.Run("steps", func(t *testing.T) {
		for name, play := range map[string]func(*testing.T, int){
			"built":  func(t *testing.T, n int) { c.built(t, f, n) },
			"shared": func(t *testing.T, n int) { c.shared(t, f, n) },
			"ready":  func(t *testing.T, n int) { c.ready(t, f, n) },
			"job":    func(t *testing.T, n int) { c.job(t, ofJob, n) },
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				steps := 0
				for ; time.Now().Before(c.until); steps++ {
					play(t, steps)
				}
				t.Logf("%s: %d rounds", name, steps)
			})
		}
	})
	cancel()
	deletes.Wait()
	t.Logf("%d steps, %d build pods, %d pods of actions and %d of jobs deleted, workers killed %d times",
		c.steps, c.builds, c.actions, c.jobs, kills(t, f)+kills(t, ofJob))
	f.WantNothingLeft(t)
	ofJob.WantEmptyExchange(t)
}

// chaos counts what was done, and what for.
type chaos struct {
	until time.Time

	mu                           sync.Mutex
	steps, builds, actions, jobs int
	victims                      map[types.UID]bool
}

// kills is how often the workers of a runner were killed.
func kills(t *testing.T, f *suite.Fixture) int {
	t.Helper()
	log, err := f.Kube.CoreV1().Pods(f.Namespace).GetLogs(f.Pod, &corev1.PodLogOptions{Container: "chaos"}).DoRaw(t.Context())
	if err != nil {
		t.Error(err)
	}
	return strings.Count(string(log), "killed")
}

// deletePods deletes the pod of each build a while after it came, at most twice by its
// name, and the pod of each action that is a victim, until ctx ends.
func (c *chaos) deletePods(ctx context.Context, f *suite.Fixture) {
	times := map[string]int{}
	_ = f.Seen.Await(ctx, func() bool {
		for _, s := range f.Seen.Sightings() {
			pod := s.Pod
			building := harness.HasContainer(pod, "kaniko")
			victim := strings.Contains(fmt.Sprint(pod.Spec), "victim") && pod.Status.Phase == corev1.PodRunning
			if c.victims[pod.UID] || !building && !victim || building && times[pod.Name] == 2 {
				continue
			}
			c.victims[pod.UID] = true
			if times[pod.Name]++; building {
				c.builds++
			} else {
				c.actions++
			}
			after := time.Duration(times[pod.Name]) * 2 * time.Second // while it starts, and later
			time.AfterFunc(after, func() {
				_ = f.Kube.CoreV1().Pods(f.Namespace).Delete(context.WithoutCancel(ctx), pod.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &pod.UID}})
			})
		}
		return false
	})
}

// want fails the test unless a step ended with the code, with one error exactly where that
// is not 0, and its own lines count up to n in the end.
func (c *chaos) want(t *testing.T, p *suite.Playing, code, n int) {
	t.Helper()
	c.mu.Lock()
	c.steps++
	c.mu.Unlock()
	result, err := p.End()
	if err != nil {
		t.Error(err)
		return
	}
	errors := outcome.Errors(result.Log)
	if result.ExitCode != code || (len(errors) == 1) != (code != 0) || len(errors) > 1 {
		t.Errorf("exit code %d, want %d:\n%s", result.ExitCode, code, outcome.Tail(result.Log))
	}
	if wrong := miscounted(result.Log, n); wrong != "" {
		t.Errorf("%s:\n%s", wrong, outcome.Tail(result.Log))
	}
}

// counted is a line of a build's or an action's own.
var counted = regexp.MustCompile(`(?m)^(#[0-9]+ [0-9.]+ )?(built|ran) ([0-9]+)$`)

// miscounted says what is wrong with the lines of a log. Those of the action come once and
// in order, and those of a build in one of its pods after the other; the last has all.
func miscounted(log string, n int) string {
	last := map[string]int{}
	restarts := 0
	for _, found := range counted.FindAllStringSubmatch(log, -1) {
		kind := found[2]
		got, _ := strconv.Atoi(found[3])
		if kind == "built" && got == 1 && last[kind] > 0 {
			last[kind] = 0
			restarts++
		}
		if got != last[kind]+1 {
			return fmt.Sprintf("%s %d after %d", kind, got, last[kind])
		}
		last[kind] = got
	}
	switch {
	case last["ran"] != n && n >= 0:
		return fmt.Sprintf("the action printed %d lines, want %d", last["ran"], n)
	case last["built"] != 0 && last["built"] != builtLines:
		return fmt.Sprintf("the build printed %d lines at last, want %d", last["built"], builtLines)
	case restarts > 4: // two pods are deleted, and two contexts cut off at the worst
		return fmt.Sprintf("the build began %d times again", restarts)
	}
	return ""
}

// TestMiscounted tells a lost line, a doubled one and a build that went on elsewhere.
func TestMiscounted(t *testing.T) {
	var built, ran string
	for i := range builtLines {
		built += fmt.Sprintf("#3 %d.00 built %d\n", i, i+1)
	}
	for i := range 3 {
		ran += fmt.Sprintf("ran %d\n", i+1)
	}
	for log, well := range map[string]bool{
		built + ran: true, ran: true, "#3 0.00 built 1\n#3 0.10 built 2\nkiln: the build pod went away, looking again\n" + built + ran: true,
		built: false, built + built + ran + ran: false, built + ran + "ran 3\n": false, built + strings.Replace(ran, "ran 2\n", "", 1): false,
		strings.Replace(built, "built 5\n", "", 1) + ran: false, "#3 0.00 built 1\n" + ran: false, strings.Repeat(built, 6) + ran: false,
	} {
		if wrong := miscounted(log, 3); (wrong == "") != well {
			t.Errorf("%q of\n%s", wrong, log)
		}
	}
}

// builtLines is how many lines a build prints, five a second.
const builtLines = 20

// counting is a shell command that prints numbered lines.
func counting(kind string, n int) string {
	return fmt.Sprintf("i=0; while [ $i -lt %d ]; do i=$((i+1)); echo %s $i; sleep 0.2; done", n, kind)
}

// counter is the Dockerfile of an action that counts when it is built and when it runs, and ends with
// a code.
func counter(marker string, code int) string {
	return fmt.Sprintf("FROM busybox\nENV MARKER=%s\nRUN %s\nENTRYPOINT [\"sh\", \"-c\", \"%s; exit %d\"]\n", marker, counting("built", builtLines), counting("ran", 20), code)
}

// marker is one that nobody has used.
func marker(name string, n int) string {
	return fmt.Sprintf("%s-%d-%d", name, n, time.Now().UnixNano())
}

// built plays an action of a Dockerfile, which fails every third time.
func (c *chaos) built(t *testing.T, f *suite.Fixture, n int) {
	code := map[bool]int{true: 3}[n%3 == 2]
	m := marker("built", n)
	step, files := sample.Build(m, counter(m, code))
	c.want(t, f.Start(t.Context(), step, files), code, 20)
}

// shared plays two steps that want one image.
func (c *chaos) shared(t *testing.T, f *suite.Fixture, n int) {
	m := marker("shared", n)
	step, files := sample.Build(m, counter(m, 0))
	first := f.Start(t.Context(), step, files)
	second := f.Start(t.Context(), step, files)
	c.want(t, first, 0, 20)
	c.want(t, second, 0, 20)
}

// ready plays an action of a ready image; the pod of every fourth is deleted.
func (c *chaos) ready(t *testing.T, f *suite.Fixture, n int) {
	if n%4 < 3 {
		c.want(t, f.Start(t.Context(), sample.Ready(marker("ready", n), counting("ran", 50)), nil), 0, 50)
		return
	}
	c.want(t, f.Start(t.Context(), sample.Ready(marker("victim", n), counting("ran", 600)), nil), 1, -1)
}
