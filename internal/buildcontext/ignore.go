package buildcontext

import (
	"bytes"
	"path"
	"strings"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// maxIgnoreBytes bounds a .dockerignore, which is held in memory.
const maxIgnoreBytes = 1 << 20

// ignoreFiles are the names of the .dockerignore for a Dockerfile: the first that
// is there counts.
func ignoreFiles(dockerfile string) []string {
	return []string{dockerfile + ".dockerignore", ".dockerignore"}
}

// filter decides what a .dockerignore excludes. Not safe for concurrent use.
type filter struct {
	name       string // of the file, for errors
	matcher    *patternmatcher.PatternMatcher
	exceptions []string // patterns behind a !
}

// matches remembers how the patterns matched a directory, for what is in it.
type matches = patternmatcher.MatchInfo

// newFilter reads the content of the .dockerignore called name. No content
// excludes nothing.
func newFilter(name string, content []byte) (*filter, error) {
	patterns, err := ignorefile.ReadAll(bytes.NewReader(content))
	if err != nil {
		return nil, inputError(name, "this is not a list of patterns: %v", err)
	}
	f := &filter{name: name}
	if len(patterns) == 0 {
		return f, nil
	}
	if f.matcher, err = patternmatcher.New(patterns); err != nil {
		return nil, inputError(name, "a pattern is malformed: %v", err)
	}
	for _, p := range f.matcher.Patterns() {
		if p.Exclusion() {
			f.exceptions = append(f.exceptions, p.String())
		}
	}
	return f, nil
}

// excludes reports whether the patterns exclude name, whose directory gave
// parent. The result for a directory holds for its own entry only.
func (f *filter) excludes(name string, parent matches) (bool, matches, error) {
	if f.matcher == nil {
		return false, matches{}, nil
	}
	excluded, info, err := f.matcher.MatchesUsingParentResults(name, parent)
	if err != nil {
		return false, matches{}, inputError(f.name, "a pattern is malformed: %v", err)
	}
	return excluded, info, nil
}

// mayInclude reports whether an exception may match anything below the
// excluded directory dir. It errs on the side of true.
//
// Only a match of a path below dir can include it again: exceptions that
// match dir itself or a directory above are outdone already by the pattern
// that excludes dir.
func (f *filter) mayInclude(dir string) bool {
	for _, pattern := range f.exceptions {
		if mayMatchBelow(pattern, dir) {
			return true
		}
	}
	return false
}

// mayMatchBelow compares pattern and dir component by component, up to where
// the pattern has something that can span several.
func mayMatchBelow(pattern, dir string) bool {
	for dir != "" {
		var want, have string
		have, dir, _ = strings.Cut(dir, "/")
		want, pattern, _ = strings.Cut(pattern, "/")
		if want == "" {
			return false
		}
		// [^x] of the pattern language matches a slash too, and \ may stand
		// before one.
		if strings.Contains(want, "**") || strings.ContainsAny(want, `[]\`) {
			return true
		}
		if ok, err := path.Match(want, have); err == nil && !ok {
			return false
		}
	}
	return pattern != ""
}
