package request

import (
	"bufio"
	"fmt"
	"os"

	"go.uber.org/zap"

	"kiln/internal/buildcontext"
	"kiln/internal/failure"
	"kiln/internal/imagebuild"
)

// accept copies the staged context into the daemon's state as kiln's own
// tar, and reads the Dockerfile out of the copy. From here on nothing of the
// request's files is looked at again.
func (s *step) accept() (*imagebuild.Source, error) {
	summary, tree, found := s.earlierContext()
	var err error
	if !found {
		summary, tree, err = s.copyContext()
	}
	if err != nil {
		return nil, failure.New(failure.BadRequest, "kiln: read the build context: %w", err)
	}
	s.log.Debug("request %s, context of %d entries and %d bytes, %s", s.id, summary.Entries, summary.Bytes, summary.Digest)
	s.logger.Info("context accepted", zap.Int("entries", summary.Entries), zap.Int64("bytes", summary.Bytes), zap.String("content", summary.Digest))
	s.handler.metrics.ContextRead(summary.Bytes)
	s.times.Mark("context")
	text, err := s.readDockerfile()
	if err != nil {
		return nil, failure.New(failure.BadRequest, "kiln: %w", err)
	}
	return &imagebuild.Source{
		Dockerfile: s.asked.Dockerfile,
		Text:       text,
		Place:      s.dockerfile(),
		Workspace:  s.asked.Workspace,
		Context:    imagebuild.Context{Path: s.handler.state.ContextPath(s.id), Digest: summary.Digest, Tree: tree},
	}, nil
}

// copyContext writes the canonical tar, whole or not at all, and lists it.
func (s *step) copyContext() (buildcontext.Summary, *buildcontext.Tree, error) {
	staged, err := s.staged()
	if err != nil {
		return buildcontext.Summary{}, nil, err
	}
	defer staged.Close()
	path := s.handler.state.ContextPath(s.id)
	file, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return buildcontext.Summary{}, nil, err
	}
	buffered := bufio.NewWriterSize(file, 256<<10)
	summary, tree, err := buildcontext.CanonicalTree(buffered, staged, s.handler.operator.Settings.Limits())
	if err == nil {
		err = buffered.Flush()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err == nil {
		err = s.handler.state.Save(s.id, keptContext, summary)
	}
	return summary, tree, err
}

// readTree lists the canonical tar.
func (s *step) readTree() (*buildcontext.Tree, error) {
	file, err := os.Open(s.handler.state.ContextPath(s.id))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return buildcontext.ReadTree(bufio.NewReader(file))
}

// readDockerfile takes the Dockerfile out of the canonical tar.
func (s *step) readDockerfile() ([]byte, error) {
	file, err := os.Open(s.handler.state.ContextPath(s.id))
	if err != nil {
		return nil, fmt.Errorf("read the Dockerfile: %w", err)
	}
	defer file.Close()
	text, err := buildcontext.ReadFile(file, s.asked.Dockerfile, s.handler.operator.Settings.Limits().DockerfileBytes)
	if err != nil {
		return nil, fmt.Errorf("read the Dockerfile: %w", err)
	}
	return text, nil
}
