package steplog

import (
	"errors"

	"kiln/internal/failure"
	"kiln/internal/hook"
)

// PlacedError is an error with the place that it is about, which its text names.
type PlacedError struct {
	Place Place
	Err   error
}

// Error is the wrapped error's text.
func (e *PlacedError) Error() string { return e.Err.Error() }

// Unwrap returns the wrapped error.
func (e *PlacedError) Unwrap() error { return e.Err }

// Fail returns the failure for a reason at a place; its text begins with that
// place.
func Fail(at Place, reason failure.Reason, format string, args ...any) error {
	return &PlacedError{Place: at, Err: failure.New(reason, "%s: "+format, append([]any{at}, args...)...)}
}

// errorCommand is the workflow command that tells of err.
func errorCommand(err error) string {
	properties := ""
	if placed, ok := errors.AsType[*PlacedError](err); ok {
		properties = placed.Place.properties()
	}
	return "::error" + properties + "::" + hook.EscapeData(authored(err)+" "+failure.Of(err).Mark())
}

// authored is the text of err in an author's log. What is not about the
// author's own files or program says whose words it is.
func authored(err error) string {
	if _, ok := errors.AsType[*failure.Error](err); ok {
		return err.Error()
	}
	if _, ok := errors.AsType[*PlacedError](err); ok {
		return err.Error()
	}
	return "kiln: " + err.Error()
}
