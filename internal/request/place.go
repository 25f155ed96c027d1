package request

import (
	"fmt"
	"path/filepath"

	"kiln/internal/steplog"
)

// dockerfile returns the place of the step's Dockerfile.
func (s *step) dockerfile() steplog.Place {
	return steplog.PlaceOf(s.asked.Path, s.asked.Workspace)
}

// doing says what the build is at, and for how long.
func (b *build) doing() string {
	title, since := b.output.now()
	if title == "" {
		return "sending the build context, " + steplog.Elapsed(b.began)
	}
	return fmt.Sprintf("building: %s, %s", title, steplog.Elapsed(since))
}

// actionName is how the author knows the action.
func (s *step) actionName() string {
	if s.container.Dockerfile == "" {
		return s.container.Image
	}
	file := s.dockerfile().File
	if dir := filepath.Dir(file); dir != "." {
		return dir
	}
	return file
}
