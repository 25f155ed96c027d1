package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"kiln/internal/freeport"
	"kiln/internal/hook"
	"kiln/internal/job"
	"kiln/internal/podtest"
	"kiln/internal/service"
)

// moment is a request to the API server at which a worker is killed.
type moment struct {
	op   string
	nth  int    // of its kind in a call about the job
	done bool   // it is carried out all the same
	says string // the author has read this by then
}

func (m moment) String() string {
	when := "before"
	if m.done {
		when = "with"
	}
	return fmt.Sprintf("%s %s %d", when, m.op, m.nth)
}

// brink stands before an API server and holds a worker at a moment until it is killed.
type brink struct {
	api http.Handler

	mu      sync.Mutex
	at      moment
	counts  map[string]int
	reached chan struct{} // closed at the moment
	killed  chan struct{} // closed when the worker is no more
}

// hold has the brink count anew and hold a worker at a moment; the zero value is none.
func (b *brink) hold(at moment) (reached <-chan struct{}, killed chan<- struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.at, b.counts = at, map[string]int{}
	b.reached, b.killed = make(chan struct{}), make(chan struct{})
	return b.reached, b.killed
}

// changes are how many requests there were, by kind, of those that change the cluster.
func (b *brink) changes() map[string]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	found := map[string]int{}
	for op, count := range b.counts {
		if verb, _, _ := strings.Cut(op, " "); verb == "create" || verb == "delete" || strings.HasSuffix(op, "/attach") {
			found[op] = count
		}
	}
	return found
}

// holds counts a request and tells whether it is the moment's.
func (b *brink) holds(op string) (at moment, reached, killed chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.counts == nil {
		return moment{}, nil, nil
	}
	b.counts[op]++
	if b.at.op != op || b.at.nth != b.counts[op] {
		return moment{}, nil, nil
	}
	return b.at, b.reached, b.killed
}

// ServeHTTP implements [http.Handler].
func (b *brink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	op := podtest.CallOf(r).Op
	at, reached, killed := b.holds(op)
	switch {
	case reached == nil:
		b.api.ServeHTTP(w, r)
		return
	case at.done && strings.HasSuffix(op, "/attach"):
		b.api.ServeHTTP(w, r) // a stream has no answer that could be kept back
	case at.done:
		b.api.ServeHTTP(httptest.NewRecorder(), r)
	}
	close(reached)
	<-killed
	if !strings.HasSuffix(op, "/attach") {
		panic(http.ErrAbortHandler)
	}
}

// jobServes is a pod whose containers run, print and are healthy until it is deleted.
func jobServes(life *podtest.Life) {
	if life.Pod().Name == "runner-1" {
		return
	}
	var names []string
	for _, c := range life.Pod().Spec.Containers {
		names = append(names, c.Name)
	}
	life.Start(names...)
	for _, name := range names {
		life.Print(name, name+" says something")
	}
	life.Change(func(pod *corev1.Pod) {
		for i := range pod.Status.ContainerStatuses {
			pod.Status.ContainerStatuses[i].Ready = true
		}
	})
	if slices.Contains(names, service.HostsContainer) {
		if _, told := life.Input(service.HostsContainer); told {
			life.Exit(service.HostsContainer, 0)
		}
	}
	<-life.Deleted()
	for _, name := range names {
		life.Exit(name, 0)
	}
}

// servedJob is what a runner asks for that has two services which want one port, with or
// without a job container; ports are what each of them maps.
func servedJob(container bool, ports [2]string) map[string]any {
	asked := debianJob()
	if !container {
		asked["container"] = nil
	}
	var services []any
	for i, image := range []string{"postgres:15", "postgres:16"} {
		services = append(services, map[string]any{
			"image": image, "createOptions": "--health-cmd true", "portMappings": []string{ports[i]},
			"environmentVariables": map[string]any{"NAME": image},
			"registry":             map[string]any{"username": "robot", "password": "x", "serverUrl": "registry.example.com"},
		})
	}
	asked["services"] = services
	return asked
}

// played is what came of a job.
type played struct {
	Response, Log string   // of prepare_job
	Pods          []string // the containers of each pod of the job, once it is prepared
	CleanupCode   int
	CleanupLog    string
	Left          string // after cleanup_job
}

// play takes a job from prepare_job to cleanup_job. A worker that comes to the first of a
// call's moments is killed there, the next one at the second, and so on.
func play(t *testing.T, container bool, kills map[string][]moment) (got played, changes map[string]map[string]int) {
	t.Helper()
	var b *brink
	s := newSidecarBehind(t, jobServes, func(api http.Handler) http.Handler { b = &brink{api: api}; return b })
	s.start()
	changes = map[string]map[string]int{}
	call := func(name string, args any) (int, string, string) {
		moments := append(slices.Clone(kills[name]), moment{})
		reached, killed := b.hold(moments[0])
		draft := s.dropCall(name, args)
		var begin strings.Builder
		for i, at := range kills[name] {
			s.await(at.String(), func() bool {
				s.must(draft.Print(&begin))
				return isClosed(reached) && strings.Contains(begin.String(), at.says)
			})
			s.killWorker()
			over := killed
			reached, killed = b.hold(moments[i+1])
			close(over)
		}
		result, rest := s.result(draft)
		changes[name] = b.changes()
		draft.Remove()
		return result.ExitCode, string(result.Response), begin.String() + rest
	}
	code, response, log := call(hook.PrepareJob, servedJob(container, [2]string{"5432", "5432"}))
	if code != 0 {
		t.Fatalf("prepare_job ended with exit code %d and says\n%s", code, log)
	}
	s.await("the end of what was made before", func() bool { return len(s.jobPods(true)) == len(s.jobPods(false)) })
	got.Response, got.Log, got.Pods = plain(response), plain(log), s.jobPods(false)
	got.CleanupCode, _, log = call(hook.CleanupJob, map[string]any{})
	got.CleanupLog = plain(log)
	s.await("the end of the job's pods", func() bool { return len(s.jobPods(true)) == 0 })
	got.Left = s.kindsLeft()
	return got, changes
}

// isClosed reports whether a channel is.
func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// killWorker kills the worker and waits until it is no more.
func (s *sidecar) killWorker() {
	s.t.Helper()
	pid := s.worker()
	s.must(unix.Kill(pid, unix.SIGKILL))
	s.await("the end of the worker", func() bool { return errors.Is(unix.Kill(pid, 0), unix.ESRCH) })
}

// jobPods are the containers of each pod of the job, with or without those of pods that
// are being deleted.
func (s *sidecar) jobPods(ending bool) []string {
	var found []string
	for _, pod := range s.cluster.Pods() {
		if pod.Name == "runner-1" || pod.DeletionTimestamp != nil && !ending {
			continue
		}
		var names []string
		for _, c := range pod.Spec.Containers {
			names = append(names, c.Name)
		}
		found = append(found, strings.Join(names, " "))
	}
	slices.Sort(found)
	return found
}

// plain is a text of kiln without what differs from job to job. Whether a wait is long
// enough for a line of its own is chance.
func plain(text string) string {
	for _, varies := range []struct{ pattern, is string }{
		{`kiln-job-[a-z0-9]{26}`, "kiln-job"},
		{`[0-9a-f]{64}`, "secret"},
		{`\b[A-Z2-7]{26}\b`, "token"},
		{`\b\d+(\.\d+)?s\b`, "1s"},
		{`(?m)^\d{4}-\d\d-\d\dT\S+ `, ""},
		{`(?m)^kiln: (still )?waiting for .*\n`, ""},
		{`"5432":"\d+"`, `"5432":"port"`},
	} {
		text = regexp.MustCompile(varies.pattern).ReplaceAllString(text, varies.is)
	}
	return text
}

// momentsOf are the moments of so many requests of each kind: each is carried out, and not
// answered.
func momentsOf(requests map[string]int) []moment {
	var list []moment
	for op, count := range requests {
		for nth := range count {
			list = append(list, moment{op: op, nth: nth + 1, done: true})
		}
	}
	return list
}

// TestKilledUnderAJob kills the worker with each request by which a job changes the
// cluster, before the first, and where it reads: the job is prepared and cleaned up as if
// nobody had, with one pod of each kind, and nothing stays.
func TestKilledUnderAJob(t *testing.T) {
	for name, tt := range map[string]struct {
		container bool
		reads     map[string][]moment
	}{
		"with a container": {true, map[string][]moment{
			hook.PrepareJob: {
				{op: "create secrets", nth: 1},
				{op: "list pods", nth: 1, says: "kiln: service postgres: image postgres:15\n"},
				{op: "watch pods", nth: 1},
				{op: "watch pods", nth: 2, says: "kiln: image debian:12\n"},
				{op: "list pods", nth: 3, says: "::group::Waiting for all services to be ready\n"},
			},
			hook.CleanupJob: {{op: "get pods/log", nth: 1}, {op: "get pods/log", nth: 2, says: "postgres says"}, {op: "list pods", nth: 1, says: "postgres-2 says"}},
		}},
		"without one": {false, map[string][]moment{
			hook.PrepareJob: {{op: "list pods", nth: 2}},
			hook.CleanupJob: {{op: "get pods/log", nth: 2, says: "postgres says"}},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			want, changes := play(t, tt.container, nil)
			if want.CleanupCode != 0 || want.Left != "" || len(want.Pods) != 2 {
				t.Fatalf("undisturbed: %+v", want)
			}
			for call, requests := range changes {
				moments := append(momentsOf(requests), tt.reads[call]...)
				for _, at := range moments {
					t.Run(call+" "+at.String(), func(t *testing.T) {
						t.Parallel()
						got, _ := play(t, tt.container, map[string][]moment{call: {at}})
						if diff := cmp.Diff(want, got); diff != "" {
							t.Errorf("(-undisturbed +killed):\n%s", diff)
						}
					})
				}
			}
		})
	}
}

// freePort is a port that was free, and stays so while kilnd is down.
func freePort(t *testing.T) string {
	t.Helper()
	port, err := freeport.Find()
	if err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(int(port))
}

// TestALostPortIsTold: where a port of a job cannot be opened again after a restart, since
// somebody else has it, the next call's log says so, and no later one.
func TestALostPortIsTold(t *testing.T) {
	s := newSidecar(t, func(life *podtest.Life) {
		if strings.HasPrefix(life.Pod().Name, "kiln-job-") {
			jobServes(life)
			return
		}
		greets(life)
	})
	s.start()
	mapped := [2]string{freePort(t) + ":5432", freePort(t) + ":5432"}
	result, log := s.result(s.dropCall(hook.PrepareJob, servedJob(false, mapped)))
	var response job.Response
	if err := json.Unmarshal(result.Response, &response); err != nil || len(response.Context.Services) != 2 {
		t.Fatalf("%v: %s, log\n%s", err, result.Response, log)
	}
	_ = s.kill(unix.SIGKILL)
	port := response.Context.Services[1].Ports["5432"]
	var taken net.Listener
	s.await("the end of who has the port", func() bool {
		var err error
		taken, err = net.Listen("tcp", "127.0.0.1:"+port)
		return err == nil
	})
	defer taken.Close()
	warning := "::warning::kiln: after a restart of kiln's daemon steps do not reach all services any more: ports: the port " + port + "/tcp for the service postgres is taken in the runner pod"
	for i, want := range []int{1, 0, 0} {
		_ = s.kill(unix.SIGKILL)
		s.start()
		if _, log = s.result(s.drop()); strings.Count(log, warning) != want {
			t.Errorf("step %d says\n%s", i+1, log)
		}
	}
	if _, log = s.result(s.dropCall(hook.CleanupJob, map[string]any{})); strings.Contains(log, "::warning::") {
		t.Errorf("cleanup_job says\n%s", log)
	}
}
