package actionrun_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kiln/internal/actionrun"
	"kiln/internal/failure"
	"kiln/internal/podtest"
	"kiln/internal/spool"
	"kiln/internal/steplog"
)

// written is a step's log with its mark, as the spool keeps them.
type written struct {
	mu     sync.Mutex
	text   []byte
	mark   []byte
	marked int
}

// pen is one daemon's hand on it. What a dead daemon writes is lost.
type pen struct {
	*written
	daemon *daemon
}

func (p pen) Write(data []byte) (int, error) { return p.WriteMarked(data, nil) }

func (p pen) WriteMarked(data []byte, mark any) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.daemon.dead() {
		return len(data), nil
	}
	p.text = append(p.text, data...)
	if mark == nil {
		return len(data), nil
	}
	var err error
	p.mark, err = json.Marshal(mark)
	p.marked = len(p.text)
	return len(data), err
}

func (p pen) Flush() error { return nil }

// daemon is one run of the daemon that is killed without a warning.
type daemon struct {
	mu     sync.Mutex
	calls  int
	killAt int  // with this call; 0 never
	done   bool // the call is carried out all the same
	killed bool
	end    context.CancelFunc
}

func (d *daemon) dead() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.killed
}

func (d *daemon) kill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.killed = true
	d.end()
}

// fault counts the calls: none of a dead daemon arrives.
func (d *daemon) fault(podtest.Call) podtest.Fault {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.killed {
		return podtest.Lost()
	}
	d.calls++
	if d.calls != d.killAt {
		return podtest.Fault{}
	}
	d.killed = true
	d.end()
	if d.done {
		return podtest.Unanswered()
	}
	return podtest.Lost()
}

// life is a step over several runs of the daemon.
type life struct {
	*stage
	written *written
	ended   *ended
	runs    int
}

// newLife is a step that no daemon has begun.
func newLife(t *testing.T, run func(*podtest.Life)) *life {
	return &life{stage: newStage(t, run, nil), written: &written{}}
}

// run has a daemon run the step, or go on with it, until it has ended or the daemon is
// killed, and reports whether it has ended.
func (l *life) run(d *daemon, after time.Duration) bool {
	l.t.Helper()
	ctx, cancel := context.WithCancel(l.t.Context())
	defer cancel()
	d.end = cancel
	if after > 0 {
		timer := time.AfterFunc(after, d.kill)
		defer timer.Stop()
	}
	l.runs++
	l.options.Pods = l.cluster.Client(l.t, d.fault)
	l.options.State = state{l.state, d}
	log := steplog.New(pen{l.written, d}, "", true)
	if l.runs > 1 {
		var mark steplog.Mark
		if l.written.mark != nil {
			if err := json.Unmarshal(l.written.mark, &mark); err != nil {
				l.t.Fatal(err)
			}
		}
		open := len(l.written.text) > 0 && l.written.text[len(l.written.text)-1] != '\n'
		log.Resume(steplog.Earlier{Mark: mark, Behind: int64(len(l.written.text) - l.written.marked), Open: open})
	}
	l.step.Log, l.step.Earlier, l.step.Times = log, l.runs > 1, steplog.NewTimes(nil)
	l.step.Ended = func(code int, err error) {
		if !d.dead() {
			l.ended = &ended{Code: code, Reason: failure.Of(err)}
		}
	}
	if l.ended != nil { // the daemon that knows how a step ended deletes what is left
		runner, err := actionrun.New(l.options)
		if err == nil {
			err = runner.Discard(ctx, l.step.ID, "runner-uid")
		}
		if err != nil && !d.dead() {
			l.t.Error(err)
		}
		return !d.dead()
	}
	code, err := l.stage.run(ctx, actionrun.Image{Reference: "busybox"})
	if !d.dead() && l.ended == nil {
		l.ended = &ended{Code: code, Reason: failure.Of(err)}
	}
	return !d.dead()
}

// state is that of a daemon, which writes nothing once it is dead.
type state struct {
	*notes
	daemon *daemon
}

func (s state) Note(id string, made []spool.Made) error {
	if s.daemon.dead() {
		return errors.New("dead")
	}
	return s.notes.Note(id, made)
}

// finish runs the step to its end and tells what came of it.
func (l *life) finish() ended {
	l.t.Helper()
	for !l.run(&daemon{}, 0) {
		l.t.Error("a daemon that nobody kills is dead")
	}
	synctest.Wait()
	l.log.Reset()
	l.log.Write(l.written.text)
	got := *l.ended
	got.Output, got.Left = l.output(), l.left()
	return got
}

// slowly is an action that counts the times that it runs, prints a line of a kind each
// half second, and then one without an end.
func slowly(started *int) func(*podtest.Life) {
	return func(life *podtest.Life) {
		*started++
		if !life.Wait(1200 * time.Millisecond) {
			return
		}
		life.Start(job)
		for range 8 {
			life.Print(job, "tick", "::stop-commands::0123456789", "::0123456789::")
			if !life.Wait(500 * time.Millisecond) {
				life.Exit(job, 143)
				return
			}
		}
		life.Write(job, "done")
		life.Exit(job, 3)
	}
}

// slowlyEnded is what comes of that.
func slowlyEnded() ended {
	lines := append(slices.Repeat([]string{"tick", "::stop-commands::0123456789", "::0123456789::"}, 8), "done")
	return ended{Code: 3, Reason: failure.ActionFailed, Output: strings.Join(lines, "|")}
}

// check plays a step whose daemons are killed as play says: it ends as if none had been.
func check(t *testing.T, name string, play func(*life)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			started := 0
			l := newLife(t, slowly(&started))
			play(l)
			if got, want := l.finish(), slowlyEnded(); got != want || started != 1 {
				t.Errorf("ended as %+v after %d starts of the action, want %+v and one\n%s", got, started, want, l.log.String())
			}
		})
	})
}

// TestKilledAtEachCall kills the daemon with each request that it makes, before and after
// that has arrived, and the one after it too.
func TestKilledAtEachCall(t *testing.T) {
	for at := 1; at <= 14; at++ {
		for _, done := range []bool{false, true} {
			check(t, fmt.Sprintf("call %d, done %v", at, done), func(l *life) { l.run(&daemon{killAt: at, done: done}, 0) })
			check(t, fmt.Sprintf("call %d twice, done %v", at, done), func(l *life) {
				l.run(&daemon{killAt: at, done: done}, 0)
				l.run(&daemon{killAt: 2, done: done}, 0)
			})
		}
	}
}

// TestKilledAtAnyTime kills one daemon after the other.
func TestKilledAtAnyTime(t *testing.T) {
	for after := 100 * time.Millisecond; after < 7*time.Second; after += 350 * time.Millisecond {
		check(t, fmt.Sprintf("after %s", after), func(l *life) { l.run(&daemon{}, after) })
		check(t, fmt.Sprintf("every %s", after), func(l *life) {
			for range 3 {
				l.run(&daemon{}, after)
			}
		})
	}
}

// TestNothingToGoOnWith: of a Job, or a pod, that others deleted meanwhile nobody knows how
// it ended, and the action is not run again.
func TestNothingToGoOnWith(t *testing.T) {
	for name, tt := range map[string]struct {
		remove func(*life)
		says   string
	}{
		"the Job": {func(l *life) {
			for _, name := range l.cluster.Names() {
				kind, object, _ := strings.Cut(name, "/")
				if kind != "secrets" {
					l.cluster.Delete(kind, object)
				}
			}
		}, "the action's Job was deleted while it ran"},
		"the pod": {func(l *life) {
			for _, pod := range l.cluster.Pods() {
				l.cluster.Delete("pods", pod.Name)
			}
		}, "the action's pod was deleted while it ran"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				started := 0
				l := newLife(t, slowly(&started))
				l.run(&daemon{}, 3*time.Second)
				tt.remove(l)
				var said error
				l.step.Ended, l.step.Earlier = nil, true
				l.options.Pods, l.options.State = l.cluster.Client(t, nil), l.stage.state
				_, said = l.stage.run(t.Context(), actionrun.Image{Reference: "busybox"})
				synctest.Wait()
				if failure.Of(said) != failure.NodeLost || !strings.Contains(fmt.Sprint(said), tt.says) || started != 1 || l.left() != "" {
					t.Errorf("error %v after %d starts, left %q; want %q", said, started, l.left(), tt.says)
				}
			})
		})
	}
}

// TestTimesGoOn over a restart of the daemon: what an action may take is not given to it
// anew.
func TestTimesGoOn(t *testing.T) {
	for name, tt := range map[string]struct {
		starts bool
		limit  time.Duration // since the action was to start, or has started
		reason failure.Reason
	}{
		"to start": {false, 2 * time.Minute, failure.Unschedulable},
		"to run":   {true, 10 * time.Minute, failure.Deadline},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLife(t, func(life *podtest.Life) {
					if tt.starts {
						life.Start(job)
					} else {
						life.Event("FailedScheduling", "0/1 nodes are available")
					}
					<-life.Deleted()
					life.Exit(job, 143)
				})
				began := time.Now()
				l.run(&daemon{}, tt.limit*3/4)
				got := l.finish()
				if took := time.Since(began); took < tt.limit || took > tt.limit+10*time.Second || got.Reason != tt.reason {
					t.Errorf("ended as %+v after %s, want %s after %s", got, took, tt.reason, tt.limit)
				}
			})
		})
	}
}
