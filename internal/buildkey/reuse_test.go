package buildkey_test

import (
	"testing"
	"time"

	"kiln/internal/buildkey"
	"kiln/internal/registry"
)

func TestDecide(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	built := func(age time.Duration) *registry.Image { return &registry.Image{Created: now.Add(-age)} }
	const week = 7 * 24 * time.Hour
	triggered := built(time.Hour)
	triggered.Labels = map[string]string{buildkey.TriggersLabel: "1"}
	for name, tc := range map[string]struct {
		maxAge time.Duration
		image  *registry.Image
		want   buildkey.Decision
	}{
		"hours":           {week, built(3*time.Hour + 59*time.Minute), buildkey.Decision{Reuse: true, Reason: "reused (built 3h ago)"}},
		"just now":        {week, built(0), buildkey.Decision{Reuse: true, Reason: "reused (built 0s ago)"}},
		"almost a week":   {week, built(week - time.Second), buildkey.Decision{Reuse: true, Reason: "reused (built 6d ago)"}},
		"a week":          {week, built(week), buildkey.Decision{Reason: "older than 7d", Aged: true}},
		"an hour allowed": {time.Hour, built(2 * time.Hour), buildkey.Decision{Reason: "older than 1h", Aged: true}},
		"none":            {week, nil, buildkey.Decision{Reason: "not built yet"}},
		"no time":         {week, &registry.Image{}, buildkey.Decision{Reason: "older than 7d", Aged: true}},
		"1970":            {week, &registry.Image{Created: time.Unix(0, 0)}, buildkey.Decision{Reason: "older than 7d", Aged: true}},
		"clocks differ":   {week, built(-time.Second), buildkey.Decision{Reuse: true, Reason: "reused (built 0s ago)"}},
		"the future":      {week, built(-time.Hour), buildkey.Decision{Reason: "its build time is ahead of the clock", Aged: true}},
		"the far future":  {week, &registry.Image{Created: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}, buildkey.Decision{Reason: "its build time is ahead of the clock", Aged: true}},
		"triggers":        {week, triggered, buildkey.Decision{Reason: "its base copies from other images"}},
		"never":           {0, built(time.Second), buildkey.Decision{Reason: "reuse is off"}},
		"never, none":     {0, nil, buildkey.Decision{Reason: "reuse is off"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := (buildkey.Policy{MaxAge: tc.maxAge}).Decide(tc.image, now); got != tc.want {
				t.Errorf("Decide = %+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestAge(t *testing.T) {
	for age, want := range map[time.Duration]string{
		40 * time.Second: "40s", 12*time.Minute + 59*time.Second: "12m", 36 * time.Hour: "36h", 47 * time.Hour: "47h", 168 * time.Hour: "7d",
	} {
		if got := buildkey.Age(age); got != want {
			t.Errorf("Age(%s) = %s, want %s", age, got, want)
		}
	}
}
