//go:build !race

package buildcontext_test

import "testing"

// skipUnderRaceDetector skips a test of bounds under the race detector.
func skipUnderRaceDetector(*testing.T) {}
