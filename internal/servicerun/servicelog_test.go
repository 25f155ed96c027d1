package servicerun_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kiln/internal/podtest"
)

// TestServicesFailTogether: where one service fails, the others' logs come too, once.
func TestServicesFailTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, func(life *podtest.Life) {
			life.Start(containersOf(life.Pod())...)
			life.Print("db", "I die\n")
			life.Print("cache", "the db is gone\n::error::x\n")
			life.Exit("db", 3)
			<-life.Deleted()
			for _, name := range containersOf(life.Pod()) {
				life.Exit(name, 0)
			}
		})
		_, err := s.prepare(with(serviceOf("postgres:16", "--health-cmd true"), serviceOf("redis:7", "")), "db", "cache")
		if err == nil || !strings.Contains(err.Error(), "the service db (postgres:16) failed") {
			t.Errorf("Prepare = %v", err)
		}
		log := s.log.String()
		for _, want := range []string{"::group::Service container db\n", "I die\n", "::group::Print service container logs: cache\n", "the db is gone\n"} {
			if strings.Count(log, want) != 1 {
				t.Errorf("%d times %q in the log:\n%s", strings.Count(log, want), want, log)
			}
		}
		s.log.Reset()
		s.jobs.Cleanup(t.Context(), s.call("request-2"))
		if strings.Contains(s.log.String(), "the db is gone") {
			t.Errorf("the log comes twice: %s", s.log.String())
		}
		synctest.Wait()
		time.Sleep(10 * time.Second)
		if s.left() != "" {
			t.Errorf("left %q", s.left())
		}
	})
}
