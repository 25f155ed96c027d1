package request

import (
	"errors"
	"path/filepath"
	"strings"
)

// place is a line of a file, as an annotation names it.
type place struct {
	file string
	line int
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

// placeOf returns the place that err is about.
func placeOf(err error) (place, bool) {
	placed, ok := errors.AsType[*placedError](err)
	if !ok || placed.place.line <= 0 {
		return place{}, false
	}
	return placed.place, true
}

// shownPath is how the author knows the Dockerfile at host path: relative to
// the checkout where it lies in it, else from _actions on.
func shownPath(path, workspace string) string {
	clean := filepath.Clean(path)
	if relative, err := filepath.Rel(workspace, clean); workspace != "" && err == nil && !strings.HasPrefix(relative, "..") {
		return relative
	}
	const actions = "/_actions/"
	if i := strings.LastIndex(clean, actions); i >= 0 {
		return clean[i+len(actions):]
	}
	return clean
}
