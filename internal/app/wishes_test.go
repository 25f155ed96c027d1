package app_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kiln/internal/app"
	"kiln/internal/config"
	"kiln/internal/metrics"
	"kiln/internal/spool"
)

// wishJob is what the ids of the wishes of a job begin with, so that they sort by name.
func wishJob(letter string) string { return letter + spool.NewWishJob()[1:] }

// makeWish drops a wish.
func makeWish(t *testing.T, exchange *spool.Exchange, id string) {
	t.Helper()
	draft, err := exchange.NewWish(id)
	if err != nil {
		t.Fatal(err)
	}
	defer draft.Remove()
	if err := draft.WriteContext(func(io.Writer) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := draft.Wish(spool.Wish{Dockerfile: "Dockerfile"}); err != nil {
		t.Fatal(err)
	}
}

// granted notes the wishes that a handler carries out; each goes on until it is let go.
type granted struct {
	mu   sync.Mutex
	ids  []string
	jobs []string // that have begun
	most int      // at once
	now  int
	goOn chan struct{}
}

func (g *granted) wish(ctx context.Context, wish *spool.TakenWish) {
	g.mu.Lock()
	g.ids = append(g.ids, wish.ID)
	g.now++
	g.most = max(g.most, g.now)
	g.mu.Unlock()
	select {
	case <-g.goOn:
	case <-ctx.Done():
	}
	g.mu.Lock()
	g.now--
	g.mu.Unlock()
}

func (g *granted) begun(job string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.jobs = append(g.jobs, job)
}

func (g *granted) seen() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.ids)
}

// wishing is a daemon that carries that many wishes out at once.
func wishing(t *testing.T, atOnce int) (*spool.Exchange, *granted, string) {
	t.Helper()
	g := &granted{goOn: make(chan struct{})}
	var dir string
	exchange, _ := daemonOf(t, app.Options{Handler: &scripted{wish: g.wish, begun: g.begun, handle: func(context.Context, *spool.Claim) int { return 0 }}}, func(s *config.Settings) {
		s.Prebuild, dir = atOnce, s.Exchange
	})
	eventually(t, func() bool { return exchange.Settings().ContextMaxBytes > 0 })
	return exchange, g, dir
}

// beginnings are the jobs that have begun.
func (g *granted) beginnings() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.jobs)
}

func TestWishesInTurn(t *testing.T) {
	exchange, g, _ := wishing(t, 2)
	if !exchange.Settings().Prebuild {
		t.Error("shims are not told that there are wishes")
	}
	job := spool.NewWishJob()
	var want []string
	for _, rank := range []int{4, 3, 2, 1, 0} {
		makeWish(t, exchange, spool.WishID(job, rank))
		want = append([]string{spool.WishID(job, rank)}, want...)
	}
	eventually(t, func() bool { return len(g.seen()) == 2 })
	for range want {
		g.goOn <- struct{}{}
	}
	eventually(t, func() bool { return len(g.seen()) == len(want) })
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.most != 2 {
		t.Errorf("%d at once", g.most)
	}
	slices.Sort(g.ids)
	if diff := cmp.Diff(want, g.ids); diff != "" {
		t.Errorf("carried out (-want +got):\n%s", diff)
	}
}

// TestFirstThingsFirst: the least rank is carried out first.
func TestFirstThingsFirst(t *testing.T) {
	exchange, g, _ := wishing(t, 1)
	job := spool.NewWishJob()
	makeWish(t, exchange, spool.WishID(job, 9))
	eventually(t, func() bool { return len(g.seen()) == 1 })
	for _, rank := range []int{7, 5, 8} {
		makeWish(t, exchange, spool.WishID(job, rank))
	}
	g.goOn <- struct{}{}
	eventually(t, func() bool { return len(g.seen()) == 2 })
	if got, want := g.seen()[1], spool.WishID(job, 5); got != want {
		t.Errorf("the second is %s, want %s", got, want)
	}
}

// TestWishesOfOneJob: another job's wishes end those of the one before, which gets none
// any more.
func TestWishesOfOneJob(t *testing.T) {
	exchange, g, _ := wishing(t, 1)
	close(g.goOn)
	first, second := wishJob("a"), wishJob("b")
	makeWish(t, exchange, spool.WishID(first, 0))
	eventually(t, func() bool { return len(g.seen()) == 1 })
	makeWish(t, exchange, spool.WishID(second, 0))
	eventually(t, func() bool { return len(g.seen()) == 2 })
	makeWish(t, exchange, spool.WishID(first, 1))
	makeWish(t, exchange, spool.WishID(second, 0)) // a second time
	makeWish(t, exchange, spool.WishID(second, 1))
	eventually(t, func() bool { return len(left(t, exchange)) == 0 })
	want := []string{spool.WishID(first, 0), spool.WishID(second, 0), spool.WishID(second, 1)}
	eventually(t, func() bool { return len(g.seen()) >= len(want) })
	if diff := cmp.Diff(want, g.seen()); diff != "" {
		t.Errorf("carried out (-want +got):\n%s", diff)
	}
}

// TestTheNextJobBegins while a wish of the job before takes all there is for wishes: that
// is over, and the wishes that waited are not begun.
func TestTheNextJobBegins(t *testing.T) {
	exchange, g, _ := wishing(t, 1)
	first, second := wishJob("b"), wishJob("a") // before it by name
	makeWish(t, exchange, spool.WishID(first, 0))
	eventually(t, func() bool { return len(g.seen()) == 1 })
	makeWish(t, exchange, spool.WishID(first, 1))
	makeWish(t, exchange, spool.WishID(second, 0))
	makeWish(t, exchange, spool.WishID(second, 1))
	eventually(t, func() bool { return slices.Equal(g.beginnings(), []string{first, second}) })
	eventually(t, func() bool { return len(left(t, exchange)) == 2 })
	close(g.goOn) // as the handler ends it
	want := []string{spool.WishID(first, 0), spool.WishID(second, 0), spool.WishID(second, 1)}
	eventually(t, func() bool { return len(g.seen()) >= len(want) })
	if diff := cmp.Diff(want, g.seen()); diff != "" {
		t.Errorf("carried out (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{first, second}, g.beginnings()); diff != "" {
		t.Errorf("jobs (-want +got):\n%s", diff)
	}
}

// TestAJobWithoutWishes begins too, and is no wish.
func TestAJobWithoutWishes(t *testing.T) {
	counted := metrics.New(metrics.Options{})
	g := &granted{goOn: make(chan struct{})}
	handler := &scripted{wish: g.wish, begun: g.begun, handle: func(context.Context, *spool.Claim) int { return 0 }}
	exchange, _ := daemonOf(t, app.Options{Handler: handler, Metrics: counted}, func(s *config.Settings) { s.Prebuild = 1 })
	eventually(t, func() bool { return exchange.Settings().Prebuild })
	first, second := spool.NewWishJob(), spool.NewWishJob()
	makeWish(t, exchange, spool.WishID(first, 0))
	eventually(t, func() bool { return len(g.seen()) == 1 })
	makeWish(t, exchange, spool.WishID(first, 1))
	if err := exchange.BeginJob(second); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return len(left(t, exchange)) == 0 })
	if diff := cmp.Diff([]string{first, second}, g.beginnings()); diff != "" {
		t.Errorf("jobs (-want +got):\n%s", diff)
	}
	eventually(t, func() bool { return wishesCounted(t, counted, metrics.WishRefused) == 1 }) // the one that waited
	close(g.goOn)
	makeWish(t, exchange, spool.WishID(second, 0))
	eventually(t, func() bool { return len(g.seen()) == 2 })
}

// wishesCounted is how many wishes were counted with that outcome.
func wishesCounted(t *testing.T, counted *metrics.Metrics, outcome metrics.Wish) (count float64) {
	t.Helper()
	families, err := counted.Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, series := range family.GetMetric() {
			if family.GetName() == "kiln_wishes_total" && series.GetLabel()[0].GetValue() == string(outcome) {
				count += series.GetCounter().GetValue()
			}
		}
	}
	return count
}

// left are the wishes in the exchange.
func left(t *testing.T, exchange *spool.Exchange) []string {
	t.Helper()
	ids, _, err := exchange.Wishes()
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// TestFloodOfWishes: what is no wish of a job is removed, and steps are served beside.
func TestFloodOfWishes(t *testing.T) {
	exchange, g, dir := wishing(t, 1)
	job := spool.NewWishJob()
	for rank := range spool.MaxWishes {
		makeWish(t, exchange, spool.WishID(job, rank))
	}
	for range 500 {
		for _, id := range []string{spool.NewID(), job + "99"} {
			if err := os.MkdirAll(filepath.Join(dir, "wishes", id), 0o777); err != nil {
				t.Fatal(err)
			}
		}
	}
	nested := t.TempDir()
	if err := os.MkdirAll(filepath.Join(nested, "nested", "deep"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(nested, filepath.Join(dir, "wishes", job+"98")); err != nil { // before it is removed
		t.Fatal(err)
	}
	draft := drop(t, exchange)
	if r, _ := result(t, draft); r.ExitCode != 0 {
		t.Errorf("the step ended with %d", r.ExitCode)
	}
	draft.Remove()
	eventually(t, func() bool { return len(left(t, exchange)) <= spool.MaxWishes })
	close(g.goOn)
	eventually(t, func() bool { return len(g.seen()) == spool.MaxWishes })
}

// TestNoWishes: where they are off, none is carried out or kept.
func TestNoWishes(t *testing.T) {
	exchange, g, _ := wishing(t, 0)
	if exchange.Settings().Prebuild {
		t.Error("shims are told that there are wishes")
	}
	makeWish(t, exchange, spool.WishID(spool.NewWishJob(), 0))
	eventually(t, func() bool { return len(left(t, exchange)) == 0 })
	if seen := g.seen(); len(seen) > 0 {
		t.Errorf("carried out: %v", seen)
	}
}

// TestWishesWaitForSteps that wait for their turn.
func TestWishesWaitForSteps(t *testing.T) {
	g := &granted{goOn: make(chan struct{})}
	close(g.goOn)
	hold := make(chan struct{})
	exchange, _ := daemon(t, &scripted{wish: g.wish, handle: func(context.Context, *spool.Claim) int {
		<-hold
		return 0
	}}, func(s *config.Settings) { s.Prebuild, s.MaxInFlight = 1, 1 })
	eventually(t, func() bool { return exchange.Settings().Prebuild })
	draft := drop(t, exchange)
	eventually(t, func() bool { return draft.Claimed() })
	makeWish(t, exchange, spool.WishID(spool.NewWishJob(), 0))
	other := drop(t, exchange)
	eventually(t, func() bool { return other.Claimed() }) // a scan that has seen the wish too
	if seen := g.seen(); len(seen) > 0 {
		t.Errorf("carried out before the steps: %v", seen)
	}
	close(hold)
	eventually(t, func() bool { return len(g.seen()) == 1 })
	draft.Remove()
	other.Remove()
}

// TestTheEndOfTheDaemon ends a wish.
func TestTheEndOfTheDaemon(t *testing.T) {
	handler := &scripted{}
	ended := make(chan error, 1)
	handler.wish = func(ctx context.Context, _ *spool.TakenWish) {
		<-ctx.Done()
		ended <- ctx.Err()
	}
	began := time.Now()
	t.Run("daemon", func(t *testing.T) {
		exchange, _ := daemon(t, handler, func(s *config.Settings) { s.Prebuild = 1 })
		eventually(t, func() bool { return exchange.Settings().Prebuild })
		makeWish(t, exchange, spool.WishID(spool.NewWishJob(), 0))
		eventually(t, func() bool { return len(left(t, exchange)) == 0 })
	})
	if err := <-ended; err == nil {
		t.Error("it was not cancelled")
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it took %s", took)
	}
}
