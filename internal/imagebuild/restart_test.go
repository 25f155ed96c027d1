package imagebuild_test

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"kiln/internal/config"
	"kiln/internal/imagebuild"
	"kiln/internal/podtest"
	"kiln/internal/spool"
	"kiln/internal/steplog"
)

// kept is what outlives the workers of a daemon: a step's log with its mark, as the
// spool has them, and how far its build is.
type kept struct {
	mu     sync.Mutex
	text   []byte
	mark   []byte
	marked int
	begun  []byte
}

// remembered says how far the build is.
func (k *kept) remembered() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return string(k.begun)
}

// worker is one run of the daemon, which may be killed: then nothing that it asks for
// arrives, and nothing that it writes or remembers.
type worker struct {
	*kept
	runner *runner
	end    context.CancelFunc

	killAt int  // with this call; 0 never
	done   bool // the call is carried out all the same
	unsaid bool // or before it remembers that the context has arrived

	life    sync.Mutex
	calls   []string // their Ops
	dead    bool
	pending []byte // written, and not published
	marks   func() // of what is pending
}

// kill ends the worker without a warning.
func (w *worker) kill() {
	w.life.Lock()
	defer w.life.Unlock()
	w.dead = true
	w.end()
}

// killed reports whether it was.
func (w *worker) killed() bool {
	w.life.Lock()
	defer w.life.Unlock()
	return w.dead
}

// fault counts the calls: none of a dead worker arrives.
func (w *worker) fault(call podtest.Call) podtest.Fault {
	w.life.Lock()
	defer w.life.Unlock()
	if w.dead {
		return podtest.Lost()
	}
	if w.calls = append(w.calls, call.Op); len(w.calls) != w.killAt {
		return podtest.Fault{}
	}
	w.dead = true
	w.end()
	if w.done {
		return podtest.Unanswered()
	}
	return podtest.Lost()
}

// made are the calls so far: a log may still be followed.
func (w *worker) made() []string {
	w.life.Lock()
	defer w.life.Unlock()
	return slices.Clone(w.calls)
}

// Write implements [io.Writer] as [spool.Log] does.
func (w *worker) Write(p []byte) (int, error) { return w.WriteMarked(p, nil) }

// WriteMarked publishes within 25 ms.
func (w *worker) WriteMarked(p []byte, mark any) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.pending) == 0 {
		time.AfterFunc(25*time.Millisecond, func() { _ = w.Flush() })
	}
	w.pending = append(w.pending, p...)
	if mark == nil {
		return len(p), nil
	}
	encoded, err := json.Marshal(mark)
	behind := len(w.pending)
	w.marks = func() { w.mark, w.marked = encoded, len(w.text)+behind }
	return len(p), err
}

// Flush publishes.
func (w *worker) Flush() error {
	dead := w.killed()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !dead {
		if w.marks != nil {
			w.marks()
		}
		w.text = append(w.text, w.pending...)
	}
	w.pending, w.marks = nil, nil
	return nil
}

// note remembers how far the build is.
func (w *worker) note(begun imagebuild.Begun) {
	_ = w.Flush()
	if w.unsaid && begun.Whole {
		w.kill()
	}
	dead := w.killed()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !dead {
		w.begun, _ = json.Marshal(begun)
	}
}

// asker is the step, on its way for the first time or after others.
func (w *worker) asker(id string) imagebuild.Asker {
	log := steplog.New(w, strings.Repeat("0", 32), false)
	who := imagebuild.Asker{
		ID: id, Runner: w.runner.self, Owner: w.runner.self.Owner(), Log: log,
		Times: steplog.NewTimes(nil), Logger: zap.NewNop(), Note: w.note,
	}
	w.mu.Lock()
	mark, begun, behind := w.mark, w.begun, len(w.text)-w.marked
	w.mu.Unlock()
	earlier := steplog.Earlier{Behind: int64(behind)}
	if mark != nil {
		w.runner.world.must(json.Unmarshal(mark, &earlier.Mark))
	}
	if begun != nil {
		w.runner.world.must(json.Unmarshal(begun, &who.Begun))
	}
	log.Resume(earlier)
	return who
}

// restarts is a step of the runner "a" whose daemon's workers are killed.
type restarts struct {
	*world
	kept *kept
	id   string
}

// work has a worker go on with the step until that has ended, or the worker is killed.
func (r *restarts) work(w *worker, after time.Duration) (string, error) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.t.Context())
	defer cancel()
	w.kept, w.end = r.kept, cancel
	w.runner = r.runner("a", w.fault, w.fault)
	if after > 0 {
		defer time.AfterFunc(after, w.kill).Stop()
	}
	who := w.asker(r.id)
	var outcome string
	var err error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		outcome, err = w.runner.ask(ctx, who)
	}()
	select {
	case <-ended:
	case <-ctx.Done(): // the dead do not clean up
		return "killed", ctx.Err()
	}
	_ = w.Flush()
	return outcome, err
}

// What differs in the log of a build whose worker was killed: the digest, where it is
// done anew, and when it was noticed that it is done.
var differs = regexp.MustCompile(`sha256:[0-9a-f]{64}|[0-9.]+s\nkiln: built`)

// log is the step's whole log.
func (r *restarts) log() string {
	r.kept.mu.Lock()
	defer r.kept.mu.Unlock()
	return differs.ReplaceAllString(string(r.kept.text), "…")
}

// beside has another runner want the image a second after, or before, the step does.
func beside(w *world, after time.Duration) {
	w.company = true
	b := w.runner("b", nil, nil)
	go func() {
		time.Sleep(after)
		_, _ = b.image(w.t.Context())
	}()
}

// restartWorlds are builds under which workers are killed.
func restartWorlds() map[string]func(*world) {
	return map[string]func(*world){
		"alone": func(*world) {},
		"put together": func(w *world) {
			w.splits(w.t)
			w.source.Text = []byte("FROM base.example.com/base:1\nRUN make\nCOPY main.c /\n")
		},
		"a random tag":  func(w *world) { w.settings.Tag = config.TagRandom },
		"followed":      func(w *world) { beside(w, time.Second) },
		"a follower":    func(w *world) { beside(w, 0); time.Sleep(1500 * time.Millisecond) },
		"a late digest": func(w *world) { w.at = speaksLate(w) },
		"a late end": func(w *world) {
			w.at = func(life *podtest.Life, _ int, moment string) bool { return moment != pushed || life.Wait(time.Minute) }
		},
	}
}

// speaksLate has Kaniko end before the gate says what was pushed.
func speaksLate(w *world) func(*podtest.Life, int, string) bool {
	return func(life *podtest.Life, _ int, moment string) bool {
		if moment != running {
			return true
		}
		digest := w.push(life.Pod(), time.Now())
		life.Exit(builder, 0)
		if life.Wait(2 * time.Second) {
			life.Print(gate, "pushed "+digest)
			life.Exit(gate, 0)
		}
		return false
	}
}

// undisturbed is the log of a build, and the calls that it takes.
func undisturbed(t *testing.T, change func(*world)) (log string, calls []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &restarts{world: newWorld(t), kept: &kept{}, id: spool.NewID()}
		change(r.world)
		w := &worker{}
		if outcome, err := r.work(w, 0); err != nil {
			t.Fatalf("%s, %v", outcome, err)
		}
		log, calls = r.log(), w.made()
		time.Sleep(time.Minute)
	})
	return log, calls
}

// changes reports whether a call changes the cluster.
func changes(op string) bool {
	verb, _, _ := strings.Cut(op, " ")
	return slices.Contains([]string{"create", "attach", "patch", "delete"}, verb)
}

// TestRestart kills a worker with its calls to the API server or a registry, and at
// other times, and has the next go on: the step's log is what it would have been, no
// pod is made but where the context was cut off, and nothing stays.
func TestRestart(t *testing.T) {
	for name, change := range restartWorlds() {
		t.Run(name, func(t *testing.T) {
			want, calls := undisturbed(t, change)
			for i, op := range calls {
				for _, done := range []bool{false, true} {
					if !changes(op) && (done || name != "alone" && name != "put together") {
						continue // what a killed reader leaves, time leaves too
					}
					w := &worker{killAt: i + 1, done: done}
					t.Run(fmt.Sprintf("call %d %s, done %v", i+1, op, done), func(t *testing.T) { restart(t, change, want, w, nil) })
				}
			}
			for after := 50 * time.Millisecond; after < 12*time.Second; after += 1100 * time.Millisecond {
				t.Run(after.String(), func(t *testing.T) { restart(t, change, want, &worker{}, []time.Duration{after}) })
			}
			t.Run("every second", func(t *testing.T) {
				restart(t, change, want, &worker{}, slices.Repeat([]time.Duration{time.Second}, 30))
			})
		})
	}
}

// TestRestartBehindTheEnd kills a worker when the context has arrived, before that is
// noted, and has the next begin when the build is done: the log has all of that.
func TestRestartBehindTheEnd(t *testing.T) {
	for _, name := range []string{"alone", "put together", "a random tag"} {
		t.Run(name, func(t *testing.T) {
			change := restartWorlds()[name]
			want, _ := undisturbed(t, change)
			synctest.Test(t, func(t *testing.T) {
				r := &restarts{world: newWorld(t), kept: &kept{}, id: spool.NewID()}
				change(r.world)
				if outcome, _ := r.work(&worker{unsaid: true}, 0); outcome != "killed" {
					t.Fatal(outcome)
				}
				time.Sleep(time.Minute)
				if _, err := r.work(&worker{}, 0); err != nil {
					t.Fatal(err)
				}
				if diff := gocmp.Diff(want, r.log()); diff != "" {
					t.Errorf("log (-want +got):\n%s", diff)
				}
				if n := r.podsMade(); n != 1 {
					t.Errorf("%d build pods were made", n)
				}
				time.Sleep(time.Minute)
			})
		})
	}
}

// TestRestartOfAFollowerBehindTheEnd kills the worker of a step that follows another
// runner's build before Kaniko has begun, and that runner too: their pod is there with all
// that it said when the next worker begins.
func TestRestartOfAFollowerBehindTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &restarts{world: newWorld(t), kept: &kept{}, id: spool.NewID()}
		other := &worker{kept: &kept{}}
		ctx, cancel := context.WithCancel(t.Context())
		other.end = cancel
		other.runner = r.runner("b", other.fault, other.fault)
		go func() { _, _ = other.runner.ask(ctx, other.asker(spool.NewID())) }()
		synctest.Wait()
		first := &worker{}
		r.at = func(_ *podtest.Life, _ int, moment string) bool {
			switch moment {
			case waiting:
				first.kill()
			case begun:
				other.kill()
			}
			return true
		}
		time.Sleep(time.Millisecond)
		if outcome, _ := r.work(first, 0); outcome != "killed" {
			t.Fatal(outcome)
		}
		time.Sleep(time.Minute)
		_, err := r.work(&worker{}, 0)
		if log := r.log(); err != nil || !strings.Contains(log, "following the build that") || !strings.Contains(log, " making") || r.podsMade() != 1 {
			t.Errorf("%v, %d build pods, log:\n%s", err, r.podsMade(), log)
		}
		time.Sleep(time.Minute)
	})
}

// TestRestartWithoutThePod has somebody delete the build pod while no worker is there: the
// build begins again, and that is no attempt.
func TestRestartWithoutThePod(t *testing.T) {
	for name, grace := range map[string]int64{"gone": 0, "going": 30} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &restarts{world: newWorld(t), kept: &kept{}, id: spool.NewID()}
				lives := make(chan *podtest.Life, 2)
				r.at = func(life *podtest.Life, _ int, moment string) bool {
					if moment == begun {
						lives <- life
					}
					return true
				}
				if outcome, _ := r.work(&worker{}, 5*time.Second); outcome != "killed" {
					t.Fatal(outcome)
				}
				(<-lives).Delete(grace)
				outcome, err := r.work(&worker{}, 0)
				if err != nil || strings.Contains(r.log(), "attempt") || strings.Count(r.log(), "making") != 2 {
					t.Errorf("%v, log:\n%s", err, r.log())
				}
				if diff := gocmp.Diff(ending{"built", 2, 2, ""}, r.ending(outcome)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestRestartBehindAnother has somebody else's build of the image end, and its pod go,
// while no worker is there: the image is found, and what the log had opened is closed.
func TestRestartBehindAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &restarts{world: newWorld(t), kept: &kept{}, id: spool.NewID()}
		lives := make(chan *podtest.Life, 2)
		r.at = func(life *podtest.Life, _ int, moment string) bool {
			if moment == created {
				lives <- life
			}
			return true
		}
		if outcome, _ := r.work(&worker{}, 1500*time.Millisecond); outcome != "killed" {
			t.Errorf("the first worker: %s", outcome)
		}
		life := <-lives
		r.push(life.Pod(), time.Now())
		life.Delete(0)
		outcome, err := r.work(&worker{}, 0)
		if log := r.log(); err != nil || !strings.Contains(log, "::group::") || !strings.HasSuffix(log, "::endgroup::\n") {
			t.Errorf("%v, log:\n%s", err, log)
		}
		if diff := gocmp.Diff(ending{"reused", 1, 0, ""}, r.ending(outcome)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// looked is said of a base part whose files nobody has listed.
const looked = "#4 looking through the layers of the base part 0.0s\n"

// found is said of an image that another order has built.
const found = "kiln: reused (built 0s ago) "

// restart kills a worker, and others that go on after it, each after a time; then one
// lives on.
func restart(t *testing.T, change func(*world), want string, w *worker, after []time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &restarts{world: newWorld(t), kept: &kept{}, id: spool.NewID()}
		change(r.world)
		after = append(slices.Clone(after), 0, 0)
		outcome, err := r.work(w, after[0])
		pods := 1
		for w.killed() {
			if begun := r.kept.remembered(); strings.Contains(begun, `"given"`) && !strings.Contains(begun, `"whole"`) {
				pods = 2
			}
			w, after = &worker{}, after[1:]
			outcome, err = r.work(w, after[0])
		}
		if err != nil {
			t.Errorf("%s, %v", outcome, err)
		}
		got := r.log()
		if pods > 1 { // meanwhile another runner may have begun to build
			got = strings.Replace(got, "kiln: following the build that b began\n", "", 1)
		}
		if !strings.Contains(got, looked) { // an index was kept, and that was not said
			want = strings.NewReplacer(looked, "", "#5 COPY", "#4 COPY", "#6 pushing", "#5 pushing").Replace(want)
		}
		if r.company && strings.Contains(got, found) { // the pod ended, and its maker took it away, while no worker was there
			want = strings.Replace(want, "#3 DONE … ", found, 1)
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("%s: log (-want +got):\n%s", outcome, diff)
		}
		if got := r.ending(outcome); got.Pods > pods || got.Left != "" {
			t.Errorf("%+v, want %d pods", got, pods)
		}
	})
}
