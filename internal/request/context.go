package request

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"go.uber.org/zap"

	"kiln/internal/buildcontext"
	"kiln/internal/preflight"
)

// accept copies the staged context into the daemon's memory as kiln's own
// tar, and reads the Dockerfile out of the copy. From here on nothing of the
// request's files is looked at again.
func (s *step) accept() (*preflight.Dockerfile, error) {
	summary, err := s.copyContext()
	if err != nil {
		return nil, fmt.Errorf("read the build context: %w", err)
	}
	s.debugf("request %s, context of %d entries and %d bytes, %s", s.claim.ID, summary.Entries, summary.Bytes, summary.Digest)
	s.logger.Info("context accepted", zap.Int("entries", summary.Entries), zap.Int64("bytes", summary.Bytes), zap.String("digest", summary.Digest))
	data, err := s.readDockerfile()
	if err != nil {
		return nil, err
	}
	at := s.dockerfile()
	dockerfile, err := preflight.Parse(at.file, data)
	if bad, ok := errors.AsType[*preflight.Error](err); ok {
		at.line = bad.Line
		return nil, &placedError{place: at, err: err}
	}
	return dockerfile, err
}

// copyContext writes the canonical tar.
func (s *step) copyContext() (buildcontext.Summary, error) {
	staged, err := s.claim.Context()
	if err != nil {
		return buildcontext.Summary{}, err
	}
	defer staged.Close()
	file, err := os.OpenFile(s.Memory.ContextPath(s.claim.ID), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return buildcontext.Summary{}, err
	}
	buffered := bufio.NewWriterSize(file, 256<<10)
	summary, err := buildcontext.Canonical(buffered, staged, s.Settings.Limits())
	if err == nil {
		err = buffered.Flush()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	return summary, err
}

// readDockerfile takes the Dockerfile out of the canonical tar.
func (s *step) readDockerfile() ([]byte, error) {
	file, err := os.Open(s.Memory.ContextPath(s.claim.ID))
	if err != nil {
		return nil, fmt.Errorf("read the Dockerfile: %w", err)
	}
	defer file.Close()
	data, err := buildcontext.ReadFile(file, s.claim.Request.Dockerfile, s.Settings.Limits().DockerfileBytes)
	if err != nil {
		return nil, fmt.Errorf("read the Dockerfile: %w", err)
	}
	return data, nil
}

// sendContext streams the canonical tar to the build pod.
func (s *step) sendContext(send func(io.Reader) error) error {
	file, err := os.Open(s.Memory.ContextPath(s.claim.ID))
	if err != nil {
		return fmt.Errorf("read the build context: %w", err)
	}
	defer file.Close()
	return send(file)
}
