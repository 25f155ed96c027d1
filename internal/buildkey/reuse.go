package buildkey

import (
	"fmt"
	"strconv"
	"time"

	"kiln/internal/registry"
)

// TriggersLabel is the label of an image that was built from a base with
// ONBUILD triggers that take files from other images. Those images are none of
// the key's inputs.
const TriggersLabel = "kiln.build/triggers"

// clockSkew is how far the clocks of two nodes may be apart: the build pod's
// wrote when the image was built.
const clockSkew = time.Minute

// Policy says which images are used again.
type Policy struct {
	// MaxAge is the age from which an image is built again; zero and less
	// stand for never using one again.
	MaxAge time.Duration
}

// Decision is whether an image is used again, and why, as the log shows it.
type Decision struct {
	Reuse  bool
	Reason string
	// Aged says that the image is not used for its age alone, or for a time of building
	// that tells no age.
	Aged bool
}

// Decide returns what to do with the image that the registry holds under a
// key, nil if it holds none.
func (p Policy) Decide(image *registry.Image, now time.Time) Decision {
	switch {
	case p.MaxAge <= 0:
		return Decision{Reason: "reuse is off"}
	case image == nil:
		return Decision{Reason: "not built yet"}
	}
	age := now.Sub(image.Created)
	_, triggers := image.Labels[TriggersLabel]
	switch {
	case triggers:
		return Decision{Reason: "its base copies from other images"}
	case age < -clockSkew:
		return Decision{Reason: "its build time is ahead of the clock", Aged: true}
	case age >= p.MaxAge:
		return Decision{Reason: "older than " + Age(p.MaxAge), Aged: true}
	}
	return Decision{Reuse: true, Reason: fmt.Sprintf("reused (built %s ago)", Age(max(age, 0)))}
}

// Age writes a duration in its largest unit, rounded down: 40s, 12m, 3h, 7d.
// Nothing below two days is given in days, so that 36h stays what it is.
func Age(age time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case age >= 2*day:
		return strconv.Itoa(int(age/day)) + "d"
	case age >= time.Hour:
		return strconv.Itoa(int(age/time.Hour)) + "h"
	case age >= time.Minute:
		return strconv.Itoa(int(age/time.Minute)) + "m"
	}
	return strconv.Itoa(int(age/time.Second)) + "s"
}
