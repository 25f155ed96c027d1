package servicerun_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"kiln/internal/agent"
	"kiln/internal/hook"
	"kiln/internal/podtest"
	"kiln/internal/service"
)

// takeNames waits, in a pod that is to be told names, until it is, ends what takes them
// with that code and returns them.
func takeNames(life *podtest.Life, code int32) string {
	if !slices.Contains(containersOf(life.Pod()), service.HostsContainer) {
		return ""
	}
	names, told := life.Input(service.HostsContainer)
	if told {
		life.End(service.HostsContainer, podtest.End{Code: code, Message: "read-only file system"})
	}
	return string(names)
}

// listening is a stage whose pods run, take names, end that with code, and are deleted.
// told has what was told by the name of the pod's last container.
func listening(t *testing.T, code int32) (s *stage, told *sync.Map) {
	told = &sync.Map{}
	return newStage(t, func(life *podtest.Life) {
		names := containersOf(life.Pod())
		life.Start(names...)
		if lines := takeNames(life, code); lines != "" {
			told.Store(names[len(names)-1], lines)
		}
		<-life.Deleted()
		for _, name := range names {
			life.Exit(name, 0)
		}
	}), told
}

// threePostgres is a job that has one service three times.
func threePostgres() hook.Job {
	return with(serviceOf("postgres:16", "--network-alias main"), serviceOf("postgres:16", ""), serviceOf("postgres:16", ""))
}

// TestServicesTold: what is in a pod of its own finds its own names there at once, and is
// told those in other pods when all have addresses, before the job begins.
func TestServicesTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, told := listening(t, 0)
		if _, err := s.prepare(threePostgres(), "psql-a", "psql-b", "psql-c"); err != nil {
			t.Fatal(err)
		}
		const ip = podtest.IP
		const first = "\n# The job's services in other pods.\n" + ip + "\tpsql-a\n" + ip + "\tmain\n" + ip + "\tpostgres\n"
		for name, want := range map[string]string{
			"psql-b": first + ip + "\tpsql-c\n" + agent.HostsEnd,
			"psql-c": first + ip + "\tpsql-b\n" + agent.HostsEnd,
		} {
			if got, _ := told.Load(name); got != want {
				t.Errorf("%s is told %q, want %q", name, got, want)
			}
		}
		for _, pod := range s.cluster.Pods() {
			names := containersOf(pod)
			if name := names[len(names)-1]; names[0] == service.HostsContainer {
				if diff := cmp.Diff(map[string]string{name: itself}, hosts(pod)); diff != "" {
					t.Errorf("hosts of %s (-want +got):\n%s", name, diff)
				}
			}
		}
		s.jobs.Cleanup(t.Context(), s.call("request-2"))
		synctest.Wait()
		time.Sleep(5 * time.Second)
		if s.left() != "" {
			t.Errorf("left %q", s.left())
		}
	})
}

// TestServicesToldLast: names are told to a pod all of whose containers have begun: a
// kubelet writes the hosts file anew with each that it starts.
func TestServicesToldLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, func(life *podtest.Life) {
			names := containersOf(life.Pod())
			life.Start(names[0])
			told := make(chan time.Time, 1)
			if names[0] == service.HostsContainer {
				go func() {
					takeNames(life, 0)
					told <- time.Now()
				}()
			} else if slices.Contains(names, service.HostsContainer) {
				t.Errorf("the first container of the pod is %s", names[0])
			}
			time.Sleep(5 * time.Second) // the others' images are pulled
			began := time.Now()
			life.Start(names[1:]...)
			if names[0] == service.HostsContainer && (<-told).Before(began) {
				t.Error("told before the pod had begun")
			}
			<-life.Deleted()
			for _, name := range names {
				life.Exit(name, 0)
			}
		})
		if _, err := s.prepare(threePostgres(), "psql-a", "psql-b", "psql-c"); err != nil {
			t.Fatal(err)
		}
		s.jobs.Cleanup(t.Context(), s.call("request-2"))
		synctest.Wait()
		time.Sleep(5 * time.Second)
	})
}

// TestServicesNotTold: a job does not begin with services that lack the others' names.
func TestServicesNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := listening(t, 1)
		_, err := s.prepare(threePostgres(), "psql-a", "psql-b", "psql-c")
		const want = "did not take the names of the job's services (exit code 1, Error): read-only file system"
		if err == nil || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("Prepare = %v, want %q", err, want)
		}
		synctest.Wait()
		time.Sleep(10 * time.Second)
		if s.left() != "" {
			t.Errorf("left %q", s.left())
		}
	})
}
