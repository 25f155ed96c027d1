package request

import "fmt"

// failure is an error whose text is meant for the step's author as it is.
type failure struct{ text string }

// Error returns the text.
func (f *failure) Error() string { return f.text }

// failf makes a failure.
func failf(format string, args ...any) error {
	return &failure{text: fmt.Sprintf(format, args...)}
}
