package app

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"kiln/internal/spool"
)

// TestManyJobs: a runner that lives long serves any number of jobs.
func TestManyJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var jobs wishJobs
		for i := range 10 * maxWishJobs {
			if !jobs.begin(spool.NewWishJob()) {
				t.Fatalf("job %d does not begin", i)
			}
			time.Sleep(time.Minute)
		}
		if len(jobs) > maxWishJobs {
			t.Errorf("%d jobs are kept", len(jobs))
		}
	})
}

// TestForgedJobs: of jobs without end no more begin in any hour than an hour may have, one
// that has begun does not begin again, and which one runs does not change without one.
func TestForgedJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var jobs wishJobs
		var begun []time.Time
		for range 10_000 {
			id := spool.NewWishJob()
			began := jobs.begin(id)
			if jobs.begin(id) {
				t.Fatal("a job begins twice")
			}
			if began != jobs.runs(id) {
				t.Fatalf("a job begins: %v, runs: %v", began, !began)
			}
			if began {
				begun = append(begun, time.Now())
			}
			time.Sleep(time.Second)
		}
		if len(begun) <= maxWishJobs {
			t.Errorf("only %d have begun", len(begun))
		}
		for i, first := range begun[:len(begun)-maxWishJobs] {
			if took := begun[i+maxWishJobs].Sub(first); took < wishJobsTime {
				t.Fatalf("%d jobs began within %s", maxWishJobs+1, took)
			}
		}
	})
}

// TestNoJob runs before one has begun.
func TestNoJob(t *testing.T) {
	var jobs wishJobs
	if jobs.runs("") || jobs.runs(spool.NewWishJob()) {
		t.Error("a job runs")
	}
}

// TestSortByBeginning: of what one look finds the job that begins is the last, whatever its
// id; its wishes stay in their order.
func TestSortByBeginning(t *testing.T) {
	for range 20 {
		before, job := spool.NewWishJob(), spool.NewWishJob()
		ids := []string{job, spool.WishID(job, 0), spool.WishID(job, 1), spool.WishID(before, 3)}
		slices.Sort(ids)
		sortByBeginning(ids)
		want := []string{spool.WishID(before, 3), job, spool.WishID(job, 0), spool.WishID(job, 1)}
		if diff := cmp.Diff(want, ids); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	}
}
