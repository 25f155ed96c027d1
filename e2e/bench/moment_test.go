package main

import (
	"slices"
	"testing"
	"time"
)

// TestMoments are spread over the second, and waited for until they come.
func TestMoments(t *testing.T) {
	for rounds := 3; rounds <= 20; rounds++ {
		var at []time.Duration
		for round := range rounds {
			at = append(at, momentOf(round))
		}
		slices.Sort(at)
		for i, moment := range at {
			next := time.Second + at[0]
			if i+1 < len(at) {
				next = at[i+1]
			}
			if gap := next - moment; gap > 2*time.Second/time.Duration(rounds) {
				t.Errorf("of %d rounds none begins for %v after %v", rounds, gap, moment)
			}
		}
	}
	for _, tt := range []struct{ now, moment, want time.Duration }{
		{0, 0, 0}, {100, 300, 200}, {300, 100, 800}, {999, 0, 1},
	} {
		got := untilMoment(time.Unix(7, int64(tt.now*time.Millisecond)), tt.moment*time.Millisecond)
		if got != tt.want*time.Millisecond {
			t.Errorf("from %d to %d ms it takes %v, want %d ms", tt.now, tt.moment, got, tt.want)
		}
	}
}
