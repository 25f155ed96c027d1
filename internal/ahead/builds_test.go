package ahead_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"

	"kiln/internal/ahead"
	"kiln/internal/spool"
)

func TestBuildsOfOneJob(t *testing.T) {
	var builds ahead.Builds
	first, second := spool.NewWishJob(), spool.NewWishJob()
	begin := func(job string, rank int) (context.Context, func(), error) {
		return builds.Begin(t.Context(), spool.WishID(job, rank), "/Dockerfile")
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

// TestWanted: a wish is over once a step has brought its Dockerfile, unless it builds of the
// same files; also one whose files are not known yet. No other is.
func TestWanted(t *testing.T) {
	var builds ahead.Builds
	job := spool.NewWishJob()
	builds.BeginJob(job)
	wishes := map[string]context.Context{}
	for rank, source := range []ahead.Source{{Dockerfile: "/a", Context: "1"}, {Dockerfile: "/b", Context: "1"}, {Dockerfile: "/c"}, {Dockerfile: "/d"}} {
		id := spool.WishID(job, rank)
		ctx, end, err := builds.Begin(t.Context(), id, source.Dockerfile)
		if err != nil {
			t.Fatal(err)
		}
		defer end()
		if source.Context != "" {
			builds.Of(id, source.Context)
		}
		wishes[source.Dockerfile] = ctx
	}
	builds.Of(spool.WishID(job, 9), "1") // one that is none
	builds.Wanted(ahead.Source{Dockerfile: "/b", Context: "1"})
	builds.Wanted(ahead.Source{Dockerfile: "/a", Context: "2"})
	builds.Wanted(ahead.Source{Dockerfile: "/c", Context: "1"})
	for dockerfile, want := range map[string]error{"/a": ahead.ErrBrought, "/b": nil, "/c": ahead.ErrBrought, "/d": nil} {
		if got := context.Cause(wishes[dockerfile]); !errors.Is(got, want) {
			t.Errorf("the wish of %q ended with %v, want %v", dockerfile, got, want)
		}
	}
}

// TestWantedBefore: what the steps of the job have brought is remembered, and no wish of it
// begins; of the next job one does.
func TestWantedBefore(t *testing.T) {
	var builds ahead.Builds
	begins := func(job, dockerfile string) error {
		_, end, err := builds.Begin(t.Context(), spool.WishID(job, 0), dockerfile)
		if err == nil {
			end()
		}
		return err
	}
	builds.Wanted(ahead.Source{Dockerfile: "/early", Context: "1"}) // by a step of the job before
	job := spool.NewWishJob()
	builds.BeginJob(job)
	builds.Wanted(ahead.Source{Dockerfile: "/late", Context: "1"})
	for dockerfile, want := range map[string]error{"/early": nil, "/late": ahead.ErrBrought, "/other": nil} {
		if err := begins(job, dockerfile); !errors.Is(err, want) {
			t.Errorf("the wish of %s begins with %v, want %v", dockerfile, err, want)
		}
	}
	next := spool.NewWishJob()
	builds.BeginJob(next)
	if err := begins(next, "/late"); err != nil {
		t.Errorf("the wish of the next job: %v", err)
	}
}

// TestMuchWanted: only so much is remembered.
func TestMuchWanted(t *testing.T) {
	var builds ahead.Builds
	job := spool.NewWishJob()
	builds.BeginJob(job)
	long := "/" + strings.Repeat("x", 5000)
	builds.Wanted(ahead.Source{Dockerfile: long})
	for i := range 1000 {
		builds.Wanted(ahead.Source{Dockerfile: strconv.Itoa(i)})
	}
	for dockerfile, want := range map[string]error{long: nil, "0": ahead.ErrBrought, "999": nil} {
		_, end, err := builds.Begin(t.Context(), spool.WishID(job, 0), dockerfile)
		if !errors.Is(err, want) {
			t.Errorf("the wish of %.5s begins with %v, want %v", dockerfile, err, want)
		}
		if err == nil {
			end()
		}
	}
}
