package shellbuild

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"go.uber.org/zap"

	"kiln/internal/config"
	"kiln/internal/failure"
	"kiln/internal/request"
	"kiln/internal/spool"
)

// Options say what to build and where.
type Options struct {
	// Dir is the Dockerfile's directory, or [Stdin].
	Dir string
	// Dockerfile is the file's name in it.
	Dockerfile string
	// Workspace is the checkout that Dir belongs to; its name is the image's
	// unless the settings have one. Empty is the one that holds Dir, or Dir.
	Workspace string
	// Kubeconfig and Context choose a cluster as kubectl does. In a pod the
	// service account is used where neither they nor KUBECONFIG are set.
	Kubeconfig, Context string
	// Image is that of the build pod's gate: kiln's own. Empty is the one of
	// the namespace's runners.
	Image string
	// Check reads the Dockerfile and asks nobody.
	Check bool
	// Debug shows Kaniko's log as it is.
	Debug bool
	// Settings are those that the command line and the environment give.
	Settings *config.Settings
	// Refine returns the settings with these values, by the names of the
	// variables, in place of the built-in defaults.
	Refine func(map[string]string) (*config.Settings, error)
	// Stdin is the context where Dir is [Stdin], Stdout gets the log.
	Stdin  io.Reader
	Stdout io.Writer
	// Log is for what the author of a step does not see.
	Log *zap.Logger
}

// Stdin as a directory is a tar, or a tar with gzip, on standard input.
const Stdin = "-"

// ErrFailed says that the build failed and that its log says why.
var ErrFailed = errors.New("the build failed")

// UsageError is a fault of the command line or of the settings.
type UsageError struct{ Err error }

// Error is the fault.
func (e *UsageError) Error() string { return e.Err.Error() }

// Unwrap returns the fault.
func (e *UsageError) Unwrap() error { return e.Err }

// usage makes a [UsageError].
func usage(format string, args ...any) error { return &UsageError{Err: fmt.Errorf(format, args...)} }

// errCancelled is what a build says that was interrupted.
var errCancelled = failure.New(failure.Cancelled, "the build was cancelled")

// Run builds, or checks, and writes the log to o.Stdout; its last line is the
// image by digest. The error is an [*UsageError], [ErrFailed], or what kept the
// build from being begun. When ctx ends, or nobody reads the log any more, the
// build is cancelled.
func Run(ctx context.Context, o Options) (err error) {
	building, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() { cancel(errCancelled) })()
	o.Stdout = &output{to: o.Stdout, cancel: cancel}
	dir, err := workDir(o.Settings.State)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	order, err := o.stage(building, dir)
	if err != nil {
		return err
	}
	state, err := spool.OpenState(filepath.Join(dir, "state"))
	if err != nil {
		return err
	}
	with := request.Options{Operator: request.Operator{Settings: o.Settings}, State: state, Logger: o.Log}
	if o.Check {
		return o.check(building, with, order)
	}
	handler, err := o.reach(building, dir, with, &order)
	if err != nil {
		return err
	}
	image, err := handler.Build(building, order)
	if err != nil {
		return ErrFailed
	}
	_, err = fmt.Fprintln(o.Stdout, image)
	return err
}

// check is Run for a Dockerfile that is only read.
func (o Options) check(ctx context.Context, with request.Options, order request.Order) error {
	var err error
	if with.Operator.Flavor, err = o.Settings.Flavor(); err != nil {
		return &UsageError{Err: err}
	}
	if err := request.Check(ctx, with, order); err != nil {
		return ErrFailed
	}
	return nil
}

// workDir makes a directory for the files of one build: in the daemon's state
// where there is one, for the kiln container can write nowhere else. The name is
// none of a request, so the daemon leaves it alone.
func workDir(state string) (string, error) {
	const pattern = "shell-build-*"
	if dir, err := os.MkdirTemp(state, pattern); state != "" && err == nil {
		return dir, nil
	}
	dir, err := os.MkdirTemp("", pattern)
	if err != nil {
		return "", fmt.Errorf("make a directory for the build's files: %w: name another with TMPDIR", err)
	}
	return dir, nil
}

// output is the log's reader. Where it has gone, the build is nobody's.
type output struct {
	to     io.Writer
	cancel context.CancelCauseFunc
	once   sync.Once
}

// Write writes p through.
func (w *output) Write(p []byte) (int, error) {
	n, err := w.to.Write(p)
	if err != nil {
		w.once.Do(func() { w.cancel(fmt.Errorf("write the log: %w", err)) })
	}
	return n, err
}
