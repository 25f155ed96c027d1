package request

import (
	"fmt"
	"path/filepath"
	"strings"

	"kiln/internal/hook"
)

// place is where in a Dockerfile something happened.
type place struct {
	file  string // as the author knows it
	local bool   // file is one of the author's repository, relative to its root
	line  int    // 0 when the place has none
}

// String names the place in a sentence, as compilers do.
func (p place) String() string {
	if p.line <= 0 {
		return p.file
	}
	return fmt.Sprintf("%s:%d", p.file, p.line)
}

// properties are those of a workflow command about the place. A file of
// somebody else's action has none: the runner would look for it in the
// author's repository.
func (p place) properties() string {
	switch {
	case !p.local:
		return ""
	case p.line <= 0:
		return " file=" + hook.EscapeProperty(p.file)
	}
	return fmt.Sprintf(" file=%s,line=%d", hook.EscapeProperty(p.file), p.line)
}

// placedError is an error with the place that it is about.
type placedError struct {
	place place
	err   error
}

// Error is the wrapped error's text.
func (e *placedError) Error() string { return e.err.Error() }

// Unwrap returns the wrapped error.
func (e *placedError) Unwrap() error { return e.err }

// dockerfile returns the place of the step's Dockerfile: relative to the
// checkout where it lies in it, else from _actions on.
func (s *step) dockerfile() place {
	return placed(s.asked.Path, s.asked.Workspace)
}

// placed returns the place of the Dockerfile at host path.
func placed(path, workspace string) place {
	clean := filepath.Clean(path)
	relative, err := filepath.Rel(workspace, clean)
	if workspace != "" && err == nil && filepath.IsLocal(relative) {
		return place{file: relative, local: true}
	}
	const actions = "/_actions/"
	if i := strings.LastIndex(clean, actions); i >= 0 {
		return place{file: clean[i+len(actions):]}
	}
	return place{file: clean}
}

// actionName is how the author knows the action.
func (s *step) actionName() string {
	if s.container.Dockerfile == "" {
		return s.container.Image
	}
	file := s.dockerfile().file
	if dir := filepath.Dir(file); dir != "." {
		return dir
	}
	return file
}
