package request

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"go.uber.org/zap"

	"kiln/internal/buildcontext"
	"kiln/internal/failure"
	"kiln/internal/preflight"
	"kiln/internal/registry"
	"kiln/internal/steplog"
)

// accept copies the staged context into the daemon's state as kiln's own
// tar, and reads the Dockerfile out of the copy. From here on nothing of the
// request's files is looked at again. It returns the digest of the context's
// content too.
func (s *step) accept() (content string, read *dockerfile, err error) {
	summary, tree, err := s.copyContext()
	if err != nil {
		return "", nil, failure.New(failure.BadRequest, "kiln: read the build context: %w", err)
	}
	s.log.Debug("request %s, context of %d entries and %d bytes, %s", s.id, summary.Entries, summary.Bytes, summary.Digest)
	s.logger.Info("context accepted", zap.Int("entries", summary.Entries), zap.Int64("bytes", summary.Bytes), zap.String("content", summary.Digest))
	s.handler.metrics.ContextRead(summary.Bytes)
	s.times.Mark("context")
	data, err := s.readDockerfile()
	if err != nil {
		return "", nil, failure.New(failure.BadRequest, "kiln: %w", err)
	}
	read, err = s.check(data, tree)
	s.times.Mark("preflight")
	return summary.Digest, read, err
}

// dockerfile is a Dockerfile that may be built.
type dockerfile struct {
	file   *preflight.File
	report *preflight.Report
	// warnings are those of the report and of the Kaniko.
	warnings []preflight.Problem
}

// check reads the Dockerfile and refuses what this Kaniko would build otherwise
// than Docker of this context, and what neither builds.
func (s *step) check(data []byte, tree *buildcontext.Tree) (*dockerfile, error) {
	file, err := preflight.Parse(s.dockerfile().File, data)
	if err != nil {
		return nil, s.refuse(0, err)
	}
	context, err := file.Context(tree, func() (io.ReadCloser, error) { return os.Open(s.handler.state.ContextPath(s.id)) })
	if err != nil {
		if _, ok := errors.AsType[*preflight.Error](err); ok {
			return nil, s.refuse(0, err)
		}
		return nil, fmt.Errorf("look into what ADD names: %w", err)
	}
	report, err := file.Report(s.handler.operator.Flavor.Name, context)
	if err != nil {
		return nil, s.refuse(0, err)
	}
	read := &dockerfile{file: file, report: report, warnings: report.Warnings}
	if newer := s.handler.operator.Flavor.Newer(); newer != "" {
		problem := preflight.Problem{Message: newer, Advice: "Tell who runs the runners: KILN_KANIKO_IMAGE names it."}
		read.warnings = append(slices.Clone(read.warnings), problem)
	}
	return read, nil
}

// refuse shows what is wrong with a Dockerfile, with the lines that are, and
// returns the error in one line, at the place that it names or else at line.
// The lines are the Dockerfile's own words, so they are shielded.
func (s *step) refuse(line int, err error) error {
	bad, ok := errors.AsType[*preflight.Error](err)
	if !ok {
		return err
	}
	s.log.Unshield()
	s.log.Shield("Check " + s.dockerfile().File)
	for detail := range strings.Lines(bad.Detail()) {
		s.log.Line("%s", strings.TrimSuffix(detail, "\n"))
	}
	at := s.dockerfile()
	at.Line = max(bad.Line, line)
	text := bad.Error()
	if bad.Advice != "" {
		text += "; " + bad.Advice
	}
	return &steplog.PlacedError{Place: at, Err: failure.New(reasonOf(bad.Kind), "%s", text)}
}

// reasonOf is the class of a mistake in a Dockerfile.
func reasonOf(kind preflight.Kind) failure.Reason {
	switch kind {
	case preflight.Syntax:
		return failure.DockerfileSyntax
	case preflight.Missing:
		return failure.SourceMissing
	}
	return failure.UnsupportedInstruction
}

// warn tells the author what the Dockerfile's reader found, each at its line.
func (s *step) warn(problems []preflight.Problem) {
	for _, problem := range problems {
		at := s.dockerfile()
		at.Line = problem.Line
		text := problem.Message
		if problem.Advice != "" {
			text += "; " + problem.Advice
		}
		s.log.Warning(at, text)
	}
}

// baseError is the error of an image that cannot be looked up, at the line
// that names it.
func (s *step) baseError(image preflight.Image, err error) error {
	at := s.dockerfile()
	at.Line = image.Line
	lookup, ok := errors.AsType[*registry.LookupError](err)
	if !ok {
		return err
	}
	reason := failure.RegistryUnreachable
	text := fmt.Sprintf("the registry of the image %s does not answer as a registry does", image.Reference)
	switch lookup.Kind {
	case registry.NotFound:
		reason, text = failure.BaseImageNotFound, fmt.Sprintf("the image %s does not exist: check its name and tag", image.Reference)
	case registry.OtherPlatform:
		reason, text = failure.BaseImageNotFound, fmt.Sprintf("the image %s does not exist for %s", image.Reference, platform)
	case registry.Unfit:
		reason, text = failure.UnsupportedInstruction, fmt.Sprintf("kiln cannot build with the image %s", image.Reference)
	case registry.Denied:
		reason, text = failure.BaseImageDenied, fmt.Sprintf("the registry does not let kiln pull the image %s: it may not exist, or the operator's registry secret has no access to it", image.Reference)
	case registry.Unreachable:
		text = fmt.Sprintf("the registry of the image %s cannot be reached", image.Reference)
	}
	if _, ours := errors.AsType[*registry.SettingsError](err); ours && lookup.Kind == registry.Denied {
		reason, text = failure.Misconfigured, fmt.Sprintf("kiln cannot log in to the registry of the image %s", image.Reference)
	}
	return &steplog.PlacedError{Place: at, Err: failure.New(reason, "%s: %s (%w)", at, text, err)}
}

// copyContext writes the canonical tar, and lists it.
func (s *step) copyContext() (buildcontext.Summary, *buildcontext.Tree, error) {
	staged, err := s.staged()
	if err != nil {
		return buildcontext.Summary{}, nil, err
	}
	defer staged.Close()
	file, err := os.OpenFile(s.handler.state.ContextPath(s.id), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
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
	return summary, tree, err
}

// readDockerfile takes the Dockerfile out of the canonical tar.
func (s *step) readDockerfile() ([]byte, error) {
	return s.readContext("the Dockerfile", func(context io.ReadSeeker) ([]byte, error) {
		return buildcontext.ReadFile(context, s.asked.Dockerfile, s.handler.operator.Settings.Limits().DockerfileBytes)
	})
}

// readIgnore takes the .dockerignore out of it.
func (s *step) readIgnore() ([]byte, error) {
	return s.readContext("the .dockerignore", func(context io.ReadSeeker) ([]byte, error) {
		return buildcontext.ReadIgnore(context, s.asked.Dockerfile)
	})
}

// readContext reads a file of the canonical tar.
func (s *step) readContext(what string, read func(io.ReadSeeker) ([]byte, error)) ([]byte, error) {
	file, err := os.Open(s.handler.state.ContextPath(s.id))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	defer file.Close()
	data, err := read(file)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	return data, nil
}

// readTree lists the canonical tar.
func (s *step) readTree() (*buildcontext.Tree, error) {
	file, err := os.Open(s.handler.state.ContextPath(s.id))
	if err != nil {
		return nil, fmt.Errorf("list the build context: %w", err)
	}
	defer file.Close()
	tree, err := buildcontext.ReadTree(bufio.NewReader(file))
	if err != nil {
		return nil, fmt.Errorf("list the build context: %w", err)
	}
	return tree, nil
}

// sendContext streams head and the canonical tar to the build pod, which takes
// them for one archive.
func (s *step) sendContext(head []byte, send func(io.Reader) error) error {
	file, err := os.Open(s.handler.state.ContextPath(s.id))
	if err != nil {
		return fmt.Errorf("read the build context: %w", err)
	}
	defer file.Close()
	return send(io.MultiReader(bytes.NewReader(head), file))
}
