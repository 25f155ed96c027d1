package imagebuild_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"kiln/internal/podtest"
)

// part is what one runner does in a race.
type part struct {
	start  time.Duration // when it wants the image
	cancel time.Duration // when its step is cancelled, if it is
	dies   time.Duration // when its node is lost, if it is
	faults podtest.Faults
}

// race has runners want the same image, and returns how each of them fared.
func (w *world) race(parts ...part) []string {
	outcomes := make([]string, len(parts))
	var group sync.WaitGroup
	for i, p := range parts {
		life := &mortal{}
		r := w.runner(string(rune('a'+i)), func(call podtest.Call) podtest.Fault {
			if p.faults != nil {
				if fault := p.faults(call); fault != (podtest.Fault{}) {
					return fault
				}
			}
			return life.faults(call)
		}, nil)
		group.Go(func() {
			time.Sleep(p.start)
			ctx, cancel := context.WithCancelCause(w.t.Context())
			defer cancel(nil)
			if p.cancel > 0 {
				time.AfterFunc(p.cancel-p.start, func() { cancel(errCancelled) })
			}
			if p.dies > 0 {
				time.AfterFunc(p.dies-p.start, func() {
					life.die()
					cancel(errCancelled)
					time.Sleep(time.Second)
					w.cluster.Collect(types.UID(r.self.UID))
				})
			}
			var err error
			if outcomes[i], err = r.image(ctx); err != nil {
				w.t.Logf("%s: %v\n%s", r.self.Name, err, r.log.String())
			}
		})
	}
	group.Wait()
	return outcomes
}

// TestSingleFlight has several runners want the same image: who builds, who follows, how
// many pods and contexts that takes, and what stays.
func TestSingleFlight(t *testing.T) {
	const s = time.Second
	hangs := podtest.Once("attach pods", podtest.Fault{Silent: true, Cut: 1})
	for name, tt := range map[string]struct {
		parts []part
		want  ending
	}{
		"alone":                          {[]part{{}}, ending{"built", 1, 1, ""}},
		"two at once":                    {[]part{{}, {}}, ending{"built followed", 1, 1, ""}},
		"eight at once":                  {make([]part, 8), ending{"built followed followed followed followed followed followed followed", 1, 1, ""}},
		"one comes before the context":   {[]part{{}, {start: 1 * s}}, ending{"built followed", 1, 1, ""}},
		"one comes after it":             {[]part{{}, {start: 5 * s}}, ending{"built followed", 1, 1, ""}},
		"one comes after the build":      {[]part{{}, {start: 30 * s}}, ending{"built reused", 1, 1, ""}},
		"one comes much later":           {[]part{{}, {start: 2 * 3600 * s}}, ending{"built built", 2, 2, ""}},
		"the creator leaves early":       {[]part{{cancel: 1500 * time.Millisecond}, {start: s}, {start: s}}, ending{"cancelled built followed", 2, 1, ""}},
		"the creator leaves":             {[]part{{cancel: 5 * s}, {start: s}, {start: s}}, ending{"cancelled followed followed", 1, 1, ""}},
		"the creator dies early":         {[]part{{dies: 1500 * time.Millisecond}, {start: s}, {start: s}}, ending{"cancelled built followed", 2, 1, ""}},
		"the creator dies":               {[]part{{dies: 5 * s}, {start: s}, {start: s}}, ending{"cancelled followed followed", 1, 1, ""}},
		"a follower leaves early":        {[]part{{}, {start: s, cancel: 1500 * time.Millisecond}}, ending{"built cancelled", 1, 1, ""}},
		"a follower leaves":              {[]part{{}, {start: s, cancel: 5 * s}}, ending{"built cancelled", 1, 1, ""}},
		"a follower dies":                {[]part{{}, {start: s, dies: 5 * s}}, ending{"built cancelled", 1, 1, ""}},
		"all leave at once":              {[]part{{cancel: 5 * s}, {start: s, cancel: 5 * s}, {start: s, cancel: 5 * s}}, ending{"cancelled cancelled cancelled", 1, 1, ""}},
		"all leave one after another":    {[]part{{cancel: 5 * s}, {start: s, cancel: 6 * s}, {start: s, cancel: 7 * s}}, ending{"cancelled cancelled cancelled", 1, 1, ""}},
		"all die":                        {[]part{{dies: 5 * s}, {start: s, dies: 6 * s}}, ending{"cancelled cancelled", 1, 1, ""}},
		"the last one leaves, one comes": {[]part{{cancel: 5 * s}, {start: 5*s + 1}}, ending{"cancelled built", 2, 2, ""}},
		"the creator sends nothing":      {[]part{{faults: hangs}, {start: s}}, ending{"built followed", 2, 1, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				outcomes := w.race(tt.parts...)
				sortAlike(tt.parts, outcomes)
				if name == "the creator sends nothing" { // who is first after that is chance
					slices.Sort(outcomes)
				}
				if diff := gocmp.Diff(tt.want, w.ending(outcomes...)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

// sortAlike orders the outcomes of those who did the same at the same time: chance says
// which of them was first.
func sortAlike(parts []part, outcomes []string) {
	for from := 0; from < len(parts); {
		to := from + 1
		for to < len(parts) && parts[to].start == parts[from].start && parts[to].cancel == parts[from].cancel && parts[to].dies == parts[from].dies {
			to++
		}
		slices.Sort(outcomes[from:to])
		from = to
	}
}

// TestStepsOfOneRunner has two steps of one runner want the same image: the pod has one
// owner entry for both and goes with the last of them, and neither gives up what the
// other made.
func TestStepsOfOneRunner(t *testing.T) {
	for name, tt := range map[string]struct {
		cancel time.Duration // of the first step; 0 is never
		fault  podtest.Fault // of the second's creation of a pod
		want   ending
	}{
		"the first leaves":            {5 * time.Second, podtest.Fault{}, ending{"cancelled followed", 1, 1, ""}},
		"the second's answer is lost": {0, podtest.Lost(), ending{"built followed", 1, 1, ""}},
		"the second's answer fails":   {0, podtest.Unanswered(), ending{"built followed", 1, 1, ""}},
		"both stay":                   {0, podtest.Fault{}, ending{"built followed", 1, 1, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				a := w.runner("a", func(call podtest.Call) podtest.Fault {
					if call.Op == "create pods" && call.Count == 2 {
						return tt.fault
					}
					return podtest.Fault{}
				}, nil)
				b := &runner{world: w, self: a.self, client: a.client, builder: a.builder}
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				if tt.cancel > 0 {
					time.AfterFunc(tt.cancel, func() { cancel(errCancelled) })
				}
				outcomes := make([]string, 2)
				var group sync.WaitGroup
				group.Go(func() { outcomes[0], _ = a.image(ctx) })
				group.Go(func() {
					time.Sleep(3 * time.Second)
					outcomes[1], _ = b.image(t.Context())
				})
				group.Wait()
				if diff := gocmp.Diff(tt.want, w.ending(outcomes...)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}
