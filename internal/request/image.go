package request

import (
	"context"
	"errors"
	"strings"

	"kiln/internal/actionrun"
)

// runImage runs an image as the step's action and returns the action's exit
// code. An image that was built earlier and that the nodes cannot find is built
// once more: registries clean up.
func (s *step) runImage(ctx context.Context, run *actionrun.Action, ready image) (int, error) {
	code, err := run.Run(ctx, s.runnable(ready))
	if !errors.Is(err, actionrun.ErrImageMissing) {
		return code, err
	}
	s.log.Line("kiln: the nodes do not find %s any more: it is built once more", ready.reference)
	rebuilt, err := s.rebuild(ctx)
	if err != nil {
		return 1, err
	}
	return run.Run(ctx, s.runnable(rebuilt))
}

// runnable is the image as an action runs it.
func (s *step) runnable(ready image) actionrun.Image {
	image := actionrun.Image{Reference: ready.reference, Reused: ready.reused != "", Start: ready.start}
	if s.planned != nil {
		_, digest, _ := strings.Cut(ready.reference, "@")
		image.Pushed = repository(s.planned.push) + "@" + digest
	}
	return image
}
