package servicerun_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"kiln/internal/jobrun"
	"kiln/internal/podtest"
	"kiln/internal/servicerun"
	"kiln/internal/spool"
	"kiln/internal/steplog"
)

// daemon is one run of the daemon that is killed without a warning: with a request that it
// makes of the cluster, or a change of its state.
type daemon struct {
	mu     sync.Mutex
	acts   int
	killAt int  // which of them; 0 is none
	done   bool // it is carried out all the same
	killed bool
	end    context.CancelFunc
}

var errDead = errors.New("the daemon is dead")

// act counts what the daemon does, and reports whether that is carried out and answered.
func (d *daemon) act() (carried, answered bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.killed {
		return false, false
	}
	d.acts++
	if d.acts != d.killAt {
		return true, true
	}
	d.killed = true
	d.end()
	return d.done, false
}

func (d *daemon) dead() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.killed
}

// fault is what becomes of its requests.
func (d *daemon) fault(podtest.Call) podtest.Fault {
	switch carried, answered := d.act(); {
	case answered:
		return podtest.Fault{}
	case carried:
		return podtest.Unanswered()
	}
	return podtest.Lost()
}

// change is a change of its state.
func (d *daemon) change(do func() error) error {
	carried, answered := d.act()
	var err error
	if carried {
		err = do()
	}
	if !answered {
		return errDead
	}
	return err
}

// state is that of a daemon.
type state struct {
	*spool.State
	daemon *daemon
}

func (s state) NoteJob(record spool.JobRecord) error {
	return s.daemon.change(func() error { return s.State.NoteJob(record) })
}

func (s state) ForgetJob() error { return s.daemon.change(s.State.ForgetJob) }

func (s state) NoteServices(record spool.ServicesRecord) error {
	return s.daemon.change(func() error { return s.State.NoteServices(record) })
}

func (s state) ForgetServices() error { return s.daemon.change(s.State.ForgetServices) }

// pages are a call's log with its mark, as the spool keeps them.
type pages struct {
	mu   sync.Mutex
	text []byte
	mark []byte
}

// pen is a daemon's hand on them. What a dead one writes is lost.
type pen struct {
	*pages
	daemon *daemon
}

func (p pen) Write(data []byte) (int, error) { return p.WriteMarked(data, nil) }

func (p pen) WriteMarked(data []byte, mark any) (n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.daemon.dead() {
		p.text = append(p.text, data...)
		p.mark, err = json.Marshal(mark)
	}
	return len(data), err
}

func (p pen) Flush() error { return nil }

// keepOn has daemons carry out a call, the first of them killed at an act, until one has: do
// is what each does. It returns the call's log, and what the last daemon did.
func (s *stage) keepOn(d *daemon, do func(ctx context.Context, call jobrun.Call) error) (log string, last *daemon) {
	s.t.Helper()
	written := &pages{}
	for ; ; d = new(daemon) {
		ctx, cancel := context.WithCancel(s.t.Context())
		d.end = cancel
		client := s.cluster.Client(s.t, d.fault)
		s.options.Pods, s.options.State = client, state{s.state, d}
		s.services = servicerun.New(s.options)
		s.t.Cleanup(s.services.Close)
		var err error
		s.jobs, err = jobrun.New(jobrun.Options{
			Pods: client, State: state{s.state, d}, Namespace: "ci", PendingTimeout: 2 * time.Minute, Services: s.services,
		})
		if err != nil {
			s.t.Fatal(err)
		}
		call := s.call("request-1")
		call.Log = steplog.New(pen{written, d}, strings.Repeat("0", 32), false)
		if len(written.mark) > 0 {
			var mark steplog.Mark
			if err := json.Unmarshal(written.mark, &mark); err != nil {
				s.t.Fatal(err)
			}
			call.Log.Resume(steplog.Earlier{Mark: mark})
		}
		err = do(ctx, call)
		cancel()
		if !d.dead() {
			if err != nil {
				s.t.Errorf("%v\n%s", err, written.text)
			}
			return string(written.text), d
		}
		s.services.Close()
		synctest.Wait()
	}
}

// outcome is what comes of a job whose daemons are killed.
type outcome struct {
	Response, Log string
	Pods          []string
	CleanupLog    string
	Left          string
}

// varies is what differs from one job to another.
var varies = regexp.MustCompile(`kiln-job-[a-z0-9]{26}|\d{4}-\d\d-\d\dT\S+Z|[0-9a-f]{64}|\b\d+(\.\d+)?m?s\b`)

// playKilled takes a job through prepare_job and cleanup_job, and returns how much a
// daemon did in each that was not killed.
func playKilled(t *testing.T, prepare, cleanup *daemon) (got outcome, acts [2]int) {
	t.Helper()
	var pods atomic.Int64
	s := newStage(t, func(life *podtest.Life) { // no start takes as long as another
		serves(10*time.Second + time.Duration(pods.Add(1))*1700*time.Millisecond)(life)
	})
	asked := with(serviceOf("postgres:16", "--health-cmd pg_isready --health-interval 10s"), serviceOf("redis", "-p 5432"), serviceOf("redis", ""))
	shim := &spool.Job{Dir: strings.Repeat("0a", 16), Services: []string{"db", "cache", "queue"}}
	log, last := s.keepOn(prepare, func(ctx context.Context, call jobrun.Call) error {
		response, err := s.jobs.Prepare(ctx, call, asked, shim)
		got.Response = varies.ReplaceAllString(string(response), "x")
		return err
	})
	got.Log, acts[0] = varies.ReplaceAllString(log, "x"), last.acts
	time.Sleep(5 * time.Second)
	for _, pod := range s.cluster.Pods() {
		got.Pods = append(got.Pods, strings.Join(containersOf(pod), " "))
	}
	slices.Sort(got.Pods)
	log, last = s.keepOn(cleanup, func(ctx context.Context, call jobrun.Call) error {
		s.jobs.Cleanup(ctx, call)
		return nil
	})
	got.CleanupLog, acts[1] = varies.ReplaceAllString(log, "x"), last.acts
	time.Sleep(5 * time.Second)
	got.Left = s.left()
	return got, acts
}

// TestKilledAtEachAct kills the daemon with each request that a job with services makes of
// the cluster and each change of what is remembered of it, before and after it is carried
// out: the job comes to what it comes to without, and no line of a log comes twice.
func TestKilledAtEachAct(t *testing.T) {
	var want outcome
	var acts [2]int
	synctest.Test(t, func(t *testing.T) { want, acts = playKilled(t, &daemon{}, &daemon{}) })
	if len(want.Pods) != 2 || want.Left != "" || acts[0] < 15 || acts[1] < 10 {
		t.Fatalf("undisturbed, with %v acts: %+v", acts, want)
	}
	for i, name := range []string{"prepare_job", "cleanup_job"} {
		for at := 1; at <= acts[i]; at++ {
			for _, done := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, act %d, done %v", name, at, done), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						kills := [2]*daemon{{}, {}}
						kills[i].killAt, kills[i].done = at, done
						got, _ := playKilled(t, kills[0], kills[1])
						if diff := cmp.Diff(want, got); diff != "" {
							t.Errorf("(-undisturbed +killed):\n%s", diff)
						}
					})
				})
			}
		}
	}
}
