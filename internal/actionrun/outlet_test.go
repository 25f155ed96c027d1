package actionrun_test

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"kiln/internal/action"
	"kiln/internal/actionrun"
	"kiln/internal/extension"
	"kiln/internal/failure"
	"kiln/internal/hook"
	"kiln/internal/podtest"
	"kiln/internal/registry"
	"kiln/internal/spool"
)

// hookShim is a shim that says what it is told to.
type hookShim struct {
	mu      sync.Mutex
	way     spool.Way
	wanted  time.Time
	flushed bool
	exit    int // what the action has told
	told    bool
	// answers is what it says when it is asked, after a while.
	answers spool.Way
}

func (s *hookShim) Flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flushed = true
	return nil
}

func (s *hookShim) Want() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wanted = time.Now()
	if s.answers != spool.Undecided {
		time.AfterFunc(100*time.Millisecond, func() { s.say(s.answers) })
	}
	return nil
}

func (s *hookShim) Way() spool.Way {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.way
}

func (s *hookShim) Exit() (int, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.exit, s.told
}

// tell has the action tell its end.
func (s *hookShim) tell(code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.exit, s.told = code, true
}

func (s *hookShim) say(way spool.Way) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.way = way
}

// viaOutlet runs an action that has an outlet of that shim.
func viaOutlet(t *testing.T, shim *hookShim, life func(*podtest.Life)) (s *stage, code int, err error) {
	t.Helper()
	s = newStage(t, life, nil)
	s.step.Outlet = &actionrun.Outlet{
		At:   spool.Outlet{Dir: strings.Repeat("d", 32), Token: strings.Repeat("0", 32)},
		Shim: shim,
	}
	code, err = s.run(t.Context(), actionrun.Image{Reference: "busybox"})
	return s, code, err
}

// TestOutlet runs an action whose shim says in every way, at every time, whether it
// has the output: the log of the container is read exactly where it has not.
func TestOutlet(t *testing.T) {
	for name, tt := range map[string]struct {
		shim   *hookShim
		says   spool.Way // by itself, a second after the action's start
		lasts  time.Duration
		output string
		asked  time.Duration // after the start; 0 is never
		fails  bool
	}{
		"taken at once":           {shim: &hookShim{way: spool.Taken}, lasts: time.Minute},
		"taken a second later":    {shim: &hookShim{}, says: spool.Taken, lasts: time.Minute},
		"shut at once":            {shim: &hookShim{way: spool.Shut}, lasts: time.Minute, output: "from the node"},
		"shut a second later":     {shim: &hookShim{}, says: spool.Shut, lasts: time.Minute, output: "from the node"},
		"shut when it is asked":   {shim: &hookShim{answers: spool.Shut}, lasts: time.Minute, asked: 3 * time.Second, output: "from the node"},
		"taken when it is asked":  {shim: &hookShim{answers: spool.Taken}, lasts: time.Minute, asked: 3 * time.Second},
		"over before it is asked": {shim: &hookShim{answers: spool.Shut}, lasts: 500 * time.Millisecond, asked: 500 * time.Millisecond, output: "from the node"},
		"never":                   {shim: &hookShim{}, lasts: time.Second, asked: time.Second, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var started time.Time
				_, code, err := viaOutlet(t, tt.shim, func(life *podtest.Life) {
					started = time.Now()
					life.Start(job)
					life.Print(job, "from the node")
					if tt.says != spool.Undecided {
						time.AfterFunc(time.Second, func() { tt.shim.say(tt.says) })
					}
					life.Wait(tt.lasts)
					life.Exit(job, 0)
				})
				if (err != nil) != tt.fails || (code != 0) != tt.fails {
					t.Errorf("code %d, error %v", code, err)
				}
				asked := time.Duration(0)
				if !tt.shim.wanted.IsZero() {
					asked = tt.shim.wanted.Sub(started)
				}
				if late := asked - tt.asked; late < 0 || late > time.Second || !tt.shim.flushed {
					t.Errorf("asked %v after the start, flushed %v", asked, tt.shim.flushed)
				}
			})
		})
	}
}

// TestOutletOutput: the output is read from the node where the shim has none of it,
// and nowhere else.
func TestOutletOutput(t *testing.T) {
	for way, want := range map[spool.Way]string{spool.Taken: "", spool.Shut: "one|two"} {
		t.Run(string(way), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, code, err := viaOutlet(t, &hookShim{way: way}, prints(3))
				if code != 3 || failure.Of(err) != failure.ActionFailed || s.output() != want {
					t.Errorf("code %d, error %v, output %q, want %q", code, err, s.output(), want)
				}
			})
		})
	}
}

// TestOutletWithoutAgent: where the agent cannot be started the action runs again, as it
// would have without an outlet.
func TestOutletWithoutAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shim := &hookShim{answers: spool.Shut}
		runs := 0
		s, code, err := viaOutlet(t, shim, func(life *podtest.Life) {
			runs++
			if action.HasOutlet(&life.Pod().Spec) {
				life.End(job, podtest.End{Code: 128, Reason: "StartError", Message: `exec: "/__kiln/agent": permission denied`})
				return
			}
			prints(0)(life)
		})
		if code != 0 || err != nil || runs != 2 || s.output() != "one|two" {
			t.Errorf("code %d, error %v, output %q in %d runs", code, err, s.output(), runs)
		}
		synctest.Wait()
		if left := s.left(); left != "" {
			t.Errorf("left %q", left)
		}
	})
}

// TestOutletNotStarted: what the agent could not execute was not started.
func TestOutletNotStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, code, err := viaOutlet(t, &hookShim{way: spool.Taken}, ends(podtest.End{
			Code: 127, Message: "kiln-agent: unable to start container process: exec: \"/run\": no such file or directory\n",
		}))
		if code != 127 || err == nil || !strings.Contains(err.Error(), "its entrypoint is not in the image") {
			t.Errorf("code %d, error %v", code, err)
		}
	})
}

// TestOutletAnywhere: an action that may run on another node has none.
func TestOutletAnywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pod *corev1.Pod
		s := newStage(t, func(life *podtest.Life) { pod = life.Pod(); prints(0)(life) }, nil)
		s.options.Anywhere = true
		s.step.Outlet = &actionrun.Outlet{At: spool.Outlet{}, Shim: &hookShim{}}
		code, err := s.run(t.Context(), actionrun.Image{Reference: "busybox"})
		if code != 0 || err != nil || s.output() != "one|two" || action.HasOutlet(&pod.Spec) {
			t.Errorf("code %d, error %v, output %q, command %v", code, err, s.output(), pod.Spec.Containers[0].Command)
		}
	})
}

// TestOutletMemory: an action whose environment keeps a program in Go from starting has no
// outlet, for the agent is one.
func TestOutletMemory(t *testing.T) {
	for name, tt := range map[string]struct {
		step           hook.Environment
		base, template string
		want           bool
	}{
		"none":                  {nil, "", "", true},
		"sound":                 {hook.Environment{"GOMEMLIMIT": "1GiB"}, "", "", true},
		"of the step":           {hook.Environment{"GOMEMLIMIT": "2G"}, "", "", false},
		"of the image":          {nil, "512MB", "", false},
		"sound in the step":     {hook.Environment{"GOMEMLIMIT": "off"}, "512MB", "", true},
		"unsound in the step":   {hook.Environment{"GOMEMLIMIT": "2G"}, "2GiB", "", false},
		"of the template":       {nil, "", "512Mi", false},
		"sound in the template": {nil, "512MB", "512MiB", true},
		"over the template":     {hook.Environment{"GOMEMLIMIT": "2G"}, "", "512MiB", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var pod *corev1.Pod
				s := newStage(t, func(life *podtest.Life) { pod = life.Pod(); prints(0)(life) }, nil)
				s.step.Outlet = &actionrun.Outlet{At: spool.Outlet{}, Shim: &hookShim{way: spool.Shut}}
				s.step.Container.EnvironmentVariables = tt.step
				if tt.template != "" {
					var err error
					if s.options.Template, err = extension.Parse([]byte("spec: {containers: [{name: $job, env: [{name: GOMEMLIMIT, value: " + tt.template + "}]}]}")); err != nil {
						t.Fatal(err)
					}
				}
				image := actionrun.Image{Reference: "busybox", Start: &registry.Start{Command: true, Entrypoint: []string{"/run"}, GoMemory: tt.base}}
				if code, err := s.run(t.Context(), image); code != 0 || err != nil || action.HasOutlet(&pod.Spec) != tt.want {
					t.Errorf("code %d, error %v, an outlet: %t, want %t", code, err, action.HasOutlet(&pod.Spec), tt.want)
				}
			})
		})
	}
}
