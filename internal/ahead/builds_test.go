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
	one, end, err := begin(first, 0)
	if err != nil {
		t.Fatal(err)
	}
	other, endOther, err := begin(second, 0)
	if err != nil {
		t.Fatal(err)
	}
	if cause := context.Cause(one); !errors.Is(cause, ahead.ErrJobOver) {
		t.Errorf("the wish of the job before ended with %v", cause)
	}
	end()
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
	last, endLast, err := begin(spool.NewWishJob(), 0)
	if err != nil || last.Err() != nil {
		t.Errorf("another job: %v", err)
	}
	endLast()
}
