package request

import (
	"path/filepath"

	"kiln/internal/steplog"
)

// dockerfile returns the place of the step's Dockerfile.
func (s *step) dockerfile() steplog.Place {
	return steplog.PlaceOf(s.asked.Path, s.asked.Workspace)
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
