//go:build race

package preflight_test

// raceDetector says whether the test was built with the race detector, which
// keeps the compiler from putting short-lived strings on the stack.
const raceDetector = true
