//go:build race

package buildcontext_test

import "testing"

// skipUnderRaceDetector skips a test of bounds, which takes long under the detector
// and shows it nothing: make unit runs these tests without it too.
func skipUnderRaceDetector(t *testing.T) {
	t.Helper()
	t.Skip("bounds are tried without the race detector")
}
