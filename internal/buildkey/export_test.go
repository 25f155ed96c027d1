package buildkey

// Frame is a seam for the tests of package buildkey_test.
var Frame = frame
