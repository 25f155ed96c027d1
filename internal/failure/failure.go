package failure

import (
	"context"
	"errors"
	"fmt"
)

// Error is a failure whose class is known.
type Error struct {
	// Reason is the class.
	Reason Reason
	// Message is the whole text for the step's author: what happened, and what
	// to do next.
	Message string
	// Err is the cause, for errors.Is and errors.As, or nil. Message has its
	// text already.
	Err error
}

// New makes an [Error]. format is that of fmt.Errorf, %w included.
func New(reason Reason, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Reason: reason, Message: err.Error(), Err: errors.Unwrap(err)}
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Of returns the class of err: what the outermost [Error] in it says,
// [Cancelled] and [Deadline] for what ended with a context, [Internal] where
// nothing is known. It is "" for nil.
func Of(err error) Reason {
	if err == nil {
		return ""
	}
	if known, ok := errors.AsType[*Error](err); ok {
		return known.Reason
	}
	switch {
	case errors.Is(err, context.Canceled):
		return Cancelled
	case errors.Is(err, context.DeadlineExceeded):
		return Deadline
	}
	return Internal
}
