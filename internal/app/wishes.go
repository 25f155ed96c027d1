package app

import (
	"context"
	"slices"

	"kiln/internal/config"
	"kiln/internal/metrics"
	"kiln/internal/spool"
)

// maxWishesSeen bounds what is seen of a hostile exchange at a time. The wishes of one job
// are bounded by their ids.
const maxWishesSeen = 1_000

// wishes says which wishes are carried out, and how many are. It belongs to the goroutine
// of run, but for freed.
type wishes struct {
	atOnce  int             // how many may be carried out; 0 is none
	jobs    wishJobs        // whose
	taken   map[string]bool // of the job that runs
	running int
	// freed wakes run once a wish is over.
	freed chan struct{}
}

// newWishes returns the wishes of a run of a. Where steps cannot run, or images are not
// found again, there are none.
func newWishes(a *App) *wishes {
	w := &wishes{freed: make(chan struct{}, max(1, a.settings.Prebuild))}
	if a.broken == nil && a.settings.Tag == config.TagContent {
		w.atOnce = a.settings.Prebuild
	}
	return w
}

// begin reports whether a job begins with what is in the exchange, which has that id: the
// job that runs is that of the last id of another job.
func (w *wishes) begin(id string) (job string, begins bool) {
	job, ok := spool.WishJob(id)
	if !ok || w.atOnce == 0 || !w.jobs.begin(job) {
		return "", false
	}
	w.taken = map[string]bool{}
	return job, true
}

// admits reports whether a wish is one of the job that runs, and a new one.
func (w *wishes) admits(id string) bool {
	job, _, ok := spool.ParseWishID(id)
	return ok && w.jobs.runs(job) && !w.taken[id]
}

// takeWishes carries out the wishes that may be, and removes those that never will be. The
// others wait in the exchange, and all of them while steps wait for their turn.
func (s *serving) takeWishes(ctx context.Context) {
	ids, _, err := s.exchange.Wishes()
	s.warn("scan the exchange", err)
	slices.Sort(ids)
	ids = ids[:min(len(ids), maxWishesSeen)]
	s.beginJobs(ids)
	free := s.unanswered() < cap(s.slots)
	for _, id := range ids {
		switch {
		case spool.JobBegins(id): // which has been seen now
			s.warn("remove the beginning of a job", s.exchange.RemoveWish(id))
		case !s.wishes.admits(id):
			s.refuseWish(id)
		case free && s.wishes.running < s.wishes.atOnce:
			s.takeWish(ctx, id)
		}
	}
}

// beginJobs begins the jobs whose first sign is among ids, also where no wish can have its
// turn: those of the job before may hold what there is for them.
func (s *serving) beginJobs(ids []string) {
	sortByBeginning(ids)
	for _, id := range ids {
		if job, begins := s.wishes.begin(id); begins {
			s.handler.BeginJob(job)
		}
	}
}

// sortByBeginning puts the jobs of which there are only wishes before those that begin: they
// were there before.
func sortByBeginning(ids []string) {
	beginning := map[string]bool{}
	for _, id := range ids {
		beginning[id] = spool.JobBegins(id)
	}
	last := func(id string) int {
		if job, _ := spool.WishJob(id); beginning[job] {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(ids, func(a, b string) int { return last(a) - last(b) })
}

// refuseWish removes a wish.
func (s *serving) refuseWish(id string) {
	if err := s.exchange.RemoveWish(id); err != nil {
		s.warn("remove a wish", err)
		return
	}
	s.metrics.WishEnded(metrics.WishRefused)
}

// takeWish carries a wish out, if it is one.
func (s *serving) takeWish(ctx context.Context, id string) {
	s.wishes.taken[id] = true
	wish, err := s.exchange.TakeWish(id)
	if err != nil {
		s.warn("take a wish", err)
		s.metrics.WishEnded(metrics.WishRefused)
		return
	}
	s.wishes.running++
	s.wait.Go(func() {
		s.handler.Wish(ctx, wish)
		s.wishes.freed <- struct{}{}
	})
}
