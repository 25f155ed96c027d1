package main

import (
	"context"
	"math"
	"time"
)

// The kubelet looks once a second at what its containers do. What is seen by it ends on
// its beat, and what is measured right behind such an end begins on it: all that takes a
// little more than a second would then be measured as two. So each round begins its
// measurements at another moment of the second, the same for all that is compared.

// momentOf is the round's, as a part of a second. However many rounds there are, they are
// spread over it: these are multiples of the golden ratio.
func momentOf(round int) time.Duration {
	_, part := math.Modf(float64(round) * math.Phi)
	return time.Duration(part * float64(time.Second))
}

// untilMoment is how long it takes from now to the moment.
func untilMoment(now time.Time, moment time.Duration) time.Duration {
	return (moment - time.Duration(now.Nanosecond()) + time.Second) % time.Second
}

// awaitMoment waits for the round's moment.
func (s *side) awaitMoment(ctx context.Context) error {
	select {
	case <-time.After(untilMoment(time.Now(), momentOf(s.rounds))):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
