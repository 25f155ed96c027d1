package buildcontext

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// Limits bounds one context. A field that is zero or negative stands for its
// default, so there is no way to have no limit.
type Limits struct {
	// Bytes is the sum of the sizes of all files.
	Bytes int64
	// Entries is the number of directories, files and links.
	Entries int
	// DockerfileBytes is the size of the Dockerfile. Only Stage knows which
	// file that is.
	DockerfileBytes int64
}

// DefaultLimits returns 512 MiB in 100,000 entries, and 1 MiB of Dockerfile.
func DefaultLimits() Limits {
	return Limits{Bytes: 512 << 20, Entries: 100_000, DockerfileBytes: 1 << 20}
}

// orDefault fills in what is not set.
func (l Limits) orDefault() Limits {
	d := DefaultLimits()
	if l.Bytes > 0 {
		d.Bytes = l.Bytes
	}
	if l.Entries > 0 {
		d.Entries = l.Entries
	}
	if l.DockerfileBytes > 0 {
		d.DockerfileBytes = l.DockerfileBytes
	}
	return d
}

// Summary describes an archive that was written.
type Summary struct {
	// Entries is the number of directories, files and links.
	Entries int
	// Bytes is the sum of the sizes of all files, uncompressed.
	Bytes int64
	// Digest identifies the content: "sha256:" and 64 hexadecimal digits.
	// It does not depend on times, owners and compression, and is not the
	// hash of the archive's bytes.
	Digest string
}

// InputError is a fault of the context itself, which its author can mend: all
// other errors of this package are failures to read or write.
type InputError struct {
	// Path is where the fault is, relative to the context; empty when it
	// concerns the archive as a whole.
	Path string
	// Reason says what is wrong and what to do about it.
	Reason string
}

// Error is "path: reason". A path with unprintable characters is quoted, so
// that the text is always one line; of a path that no line can hold it shows
// both ends.
func (e *InputError) Error() string {
	if e.Path == "" {
		return e.Reason
	}
	return printable(shorten(e.Path)) + ": " + e.Reason
}

// shorten takes the middle out of a very long path.
func shorten(path string) string {
	const longest = 512
	if len(path) <= longest {
		return path
	}
	return strings.ToValidUTF8(path[:longest/2], "") + "…" + strings.ToValidUTF8(path[len(path)-longest/2:], "")
}

func inputError(path, format string, args ...any) *InputError {
	return &InputError{Path: path, Reason: fmt.Sprintf(format, args...)}
}

// printable quotes s if a terminal or a log would not show it as it is.
func printable(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		return strconv.Quote(s)
	}
	return s
}

// formatBytes writes n in the largest binary unit below it, to one decimal.
func formatBytes(n int64) string {
	const units = "KMGTPE"
	if n < 1<<10 {
		return fmt.Sprintf("%d bytes", n)
	}
	value, unit := float64(n), -1
	for value >= 1<<10 {
		value /= 1 << 10
		unit++
	}
	return strings.TrimSuffix(strconv.FormatFloat(value, 'f', 1, 64), ".0") + " " + units[unit:unit+1] + "iB"
}
