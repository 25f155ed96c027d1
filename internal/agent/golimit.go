package agent

import "regexp"

// MemoryVariable is Go's soft limit for the memory of a process. The runtime of this program
// reads it as that of any program in Go does, and ends the process where it is malformed
// (pkg.go.dev/runtime), before anything else of the program is run.
const MemoryVariable = "GOMEMLIMIT"

// goLimit has the limits that the runtime takes, but for some that are larger than any
// machine's memory.
var goLimit = regexp.MustCompile(`^(off|[0-9]{1,18}B?|[0-9]{1,9}[KMG]iB|[0-9]{1,6}TiB)?$`)

// Starts reports whether this program starts where [MemoryVariable] is limit.
func Starts(limit string) bool { return goLimit.MatchString(limit) }
