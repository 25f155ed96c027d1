package ahead_test

import (
	"context"
	"errors"
	"testing"

	"kiln/internal/ahead"
	"kiln/internal/spool"
)

func TestBuildsOfOneJob(t *testing.T) {
	var builds ahead.Builds
	first, second := spool.NewWishJob(), spool.NewWishJob()
	begin := func(job string, rank int) (context.Context, func(), error) {
		return builds.Begin(t.Context(), spool.WishID(job, rank))
	}
	builds.BeginJob(first)
	one, end, err := begin(first, 0)
	if err != nil {
		t.Fatal(err)
	}
	builds.BeginJob(second) // before any of its wishes has its turn
	if cause := context.Cause(one); !errors.Is(cause, ahead.ErrJobOver) {
		t.Errorf("the wish of the job before ended with %v", cause)
	}
	end()
	other, endOther, err := begin(second, 0)
	if err != nil {
		t.Fatal(err)
	}
	builds.BeginJob(second) // seen once more
	if _, _, err := begin(first, 1); !errors.Is(err, ahead.ErrJobOver) || other.Err() != nil {
		t.Errorf("a late wish of the job before: %v, and that of the job: %v", err, other.Err())
	}
	if !builds.Stop(ahead.ErrNoRoom) {
		t.Error("nothing was running")
	}
	if cause := context.Cause(other); !errors.Is(cause, ahead.ErrNoRoom) {
		t.Errorf("the wish ended with %v", cause)
	}
	endOther()
	if builds.Stop(ahead.ErrJobOver) {
		t.Error("something is running")
	}
	if _, _, err := begin(second, 1); !errors.Is(err, ahead.ErrNoRoom) {
		t.Errorf("another wish of that job: %v", err)
	}
	third := spool.NewWishJob()
	builds.BeginJob(third)
	last, endLast, err := begin(third, 0)
	if err != nil || last.Err() != nil {
		t.Errorf("another job: %v", err)
	}
	endLast()
}

// TestWanted: a wish for files that a step has brought otherwise is over, and no other.
func TestWanted(t *testing.T) {
	var builds ahead.Builds
	job := spool.NewWishJob()
	builds.BeginJob(job)
	wishes := map[string]context.Context{}
	for rank, source := range []ahead.Source{{Dockerfile: "/a", Context: "1"}, {Dockerfile: "/b", Context: "1"}, {}} {
		id := spool.WishID(job, rank)
		ctx, end, err := builds.Begin(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		defer end()
		if source.Dockerfile != "" {
			builds.Of(id, source)
		}
		wishes[source.Dockerfile] = ctx
	}
	builds.Of(spool.WishID(job, 9), ahead.Source{Dockerfile: "/a"}) // one that is none
	builds.Wanted(ahead.Source{Dockerfile: "/b", Context: "1"})
	builds.Wanted(ahead.Source{Dockerfile: "/a", Context: "2"})
	for dockerfile, want := range map[string]error{"/a": ahead.ErrChanged, "/b": nil, "": nil} {
		if got := context.Cause(wishes[dockerfile]); !errors.Is(got, want) {
			t.Errorf("the wish of %q ended with %v, want %v", dockerfile, got, want)
		}
	}
}
