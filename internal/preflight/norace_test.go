//go:build !race

package preflight_test

// raceDetector says whether the test was built with the race detector.
const raceDetector = false
