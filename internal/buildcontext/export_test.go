package buildcontext

// Seams for the tests of package buildcontext_test.
var (
	CompareNames = compareNames
	FormatBytes  = formatBytes
	LinkTarget   = linkTarget
)
