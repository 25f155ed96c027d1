package request

import (
	"context"
	"errors"
	"os"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/actionrun"
	"kiln/internal/ahead"
	"kiln/internal/imagebuild"
)

// build returns the image of the step's Dockerfile; its build pods go with owner, or,
// where that has no UID, with what is made for the time of the build.
func (s *step) build(ctx context.Context, owner metav1.OwnerReference) (imagebuild.Image, error) {
	source, err := s.accept()
	if err != nil {
		s.handler.builds.Refused(ctx, s.asker(owner), err)
		return imagebuild.Image{}, err
	}
	if s.ahead {
		s.handler.ahead.Of(s.id, source.Context.Digest)
	} else {
		s.handler.ahead.Wanted(ahead.Source{Dockerfile: s.asked.Path, Context: source.Context.Digest})
	}
	image, err := s.handler.builds.Image(ctx, source, s.asker(owner))
	if image.Reused == "" { // else it may have to be built all the same
		if err == nil {
			s.keepImage(runnable(image))
		}
		_ = os.Remove(s.handler.state.ContextPath(s.id))
	}
	return image, err
}

// asker is the step as who asks for an image.
func (s *step) asker(owner metav1.OwnerReference) imagebuild.Asker {
	who := imagebuild.Asker{
		ID: s.id, Environment: s.container.EnvironmentVariables, Runner: s.self, Owner: owner, Ahead: s.ahead,
		Log: s.log, Times: s.times, Logger: s.logger, Note: s.keepBuild,
	}
	s.recall(keptBuild, &who.Begun)
	return who
}

// runBuilt runs an image that was built, or found, as the step's action and returns
// the action's exit code. An image that was built earlier and that the nodes cannot
// find is built once more: registries clean up.
func (s *step) runBuilt(ctx context.Context, run *actionrun.Action, image imagebuild.Image) (int, error) {
	code, err := run.Run(ctx, runnable(image))
	if !errors.Is(err, actionrun.ErrImageMissing) {
		return code, err
	}
	s.log.Line("kiln: the nodes do not find %s any more: it is built once more", image.Reference)
	rebuilt, err := s.handler.builds.Again(ctx, image)
	if err != nil {
		return 1, err
	}
	return run.Run(ctx, runnable(rebuilt))
}

// runnable is an image that was built, or found, as an action runs it.
func runnable(image imagebuild.Image) actionrun.Image {
	return actionrun.Image{Reference: image.Reference, Pushed: image.Pushed, Reused: image.Reused != "", Start: image.Start}
}
