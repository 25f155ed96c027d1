package app

import (
	"slices"
	"time"
)

// Bounds on the jobs of a hostile exchange, where workflow code can name any number.
const (
	maxWishJobs  = 100       // whose wishes this daemon takes
	wishJobsTime = time.Hour // in any time of that length
)

// wishJobs are the jobs that have begun last, the one that runs at the end.
type wishJobs []wishJob

// wishJob is a job, by what the ids of its wishes begin with.
type wishJob struct {
	id    string
	began time.Time
}

// begin reports whether a job begins now: one that has begun does not, nor one too many. Of
// the jobs before only so many are kept as the bound needs.
func (j *wishJobs) begin(id string) bool {
	if slices.ContainsFunc(*j, func(known wishJob) bool { return known.id == id }) {
		return false
	}
	if len(*j) >= maxWishJobs {
		if time.Since((*j)[0].began) < wishJobsTime {
			return false
		}
		*j = slices.Delete(*j, 0, 1)
	}
	*j = append(*j, wishJob{id, time.Now()})
	return true
}

// runs reports whether a job is the one that runs.
func (j wishJobs) runs(id string) bool {
	return len(j) > 0 && j[len(j)-1].id == id
}
