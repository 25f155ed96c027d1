package candidate

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"kiln/internal/buildcontext"
)

// Source is a Dockerfile with its context, as the daemon has them.
type Source struct {
	// Name is the Dockerfile's in the context, Text what it says.
	Name string
	Text []byte
	// Path is the file of the canonical context, Tree lists that.
	Path string
	Tree *buildcontext.Tree
}

// Open opens the context.
func (s *Source) Open() (io.ReadCloser, error) { return os.Open(s.Path) }

// Stage makes the canonical tar of a context in two steps, as the shim and the
// daemon do, lists it, and reads the Dockerfile. What is at fault is a *Refusal.
func Stage(dockerfile, out string) (*Source, error) {
	var staged bytes.Buffer
	_, err := buildcontext.Stage(&staged, dockerfile, buildcontext.Limits{})
	var tree *buildcontext.Tree
	if err == nil {
		var file *os.File
		if file, err = os.Create(out); err != nil {
			return nil, fmt.Errorf("create the context: %w", err)
		}
		_, tree, err = buildcontext.CanonicalTree(file, &staged, buildcontext.Limits{})
		err = errors.Join(err, file.Close())
	}
	if input, ok := errors.AsType[*buildcontext.InputError](err); ok {
		return nil, &Refusal{input}
	}
	if err != nil {
		return nil, err
	}
	source := &Source{Name: filepath.Base(dockerfile), Path: out, Tree: tree}
	file, err := os.Open(out)
	if err != nil {
		return nil, fmt.Errorf("open the context: %w", err)
	}
	defer file.Close()
	if source.Text, err = buildcontext.ReadFile(file, source.Name, buildcontext.DefaultLimits().DockerfileBytes); err != nil {
		return nil, &Refusal{err}
	}
	return source, nil
}

// Ignore reads the .dockerignore of the context.
func (s *Source) Ignore() ([]byte, error) {
	file, err := os.Open(s.Path)
	if err != nil {
		return nil, fmt.Errorf("open the context: %w", err)
	}
	defer file.Close()
	return buildcontext.ReadIgnore(file, s.Name)
}
