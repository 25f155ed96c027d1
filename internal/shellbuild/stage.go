package shellbuild

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"kiln/internal/buildcontext"
	"kiln/internal/request"
	"kiln/internal/spool"
)

// stage writes the context as the shim does, below dir, and returns the order
// without whom it is for.
func (o Options) stage(ctx context.Context, dir string) (request.Order, error) {
	if o.Dockerfile != filepath.Base(o.Dockerfile) {
		return request.Order{}, usage("--dockerfile is %q: write the name of a file in the directory to build, which is all that a Dockerfile can copy from", o.Dockerfile)
	}
	source, err := o.source(dir)
	if err != nil {
		return request.Order{}, err
	}
	path := filepath.Join(source, o.Dockerfile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return request.Order{}, usage("%s has no %s: name its Dockerfile with --dockerfile", o.Dir, o.Dockerfile)
	}
	staged := filepath.Join(dir, "context.tar")
	if err := writeContext(ctx, staged, path, o.Settings.Limits()); err != nil {
		return request.Order{}, err
	}
	asked := spool.Request{Dockerfile: o.Dockerfile, StopToken: token(), Debug: o.Debug}
	asked.Path, asked.Workspace, err = o.named(path)
	return request.Order{ID: spool.NewID(), Request: asked, Context: staged, Log: o.Stdout}, err
}

// source returns the directory with the Dockerfile.
func (o Options) source(dir string) (string, error) {
	if o.Dir == Stdin {
		tree := filepath.Join(dir, "tree")
		return tree, unpack(o.Stdin, tree, o.Settings.Limits())
	}
	info, err := os.Stat(o.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", usage("there is no directory %s", o.Dir)
	case err != nil:
		return "", &UsageError{Err: err}
	case !info.IsDir():
		return "", usage("%s is no directory: name the Dockerfile's directory, and the file with --dockerfile", o.Dir)
	}
	return filepath.Abs(o.Dir)
}

// writeContext stages the context of the Dockerfile at path in the file staged.
func writeContext(ctx context.Context, staged, path string, limits buildcontext.Limits) error {
	file, err := os.OpenFile(staged, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("stage context: %w", err)
	}
	_, err = buildcontext.Stage(&untilDone{ctx: ctx.Err, w: file}, path, limits)
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// untilDone stops a long write once the build is cancelled.
type untilDone struct {
	ctx func() error
	w   io.Writer
}

// Write writes p unless the build is cancelled.
func (u *untilDone) Write(p []byte) (int, error) {
	if err := u.ctx(); err != nil {
		return 0, err
	}
	return u.w.Write(p)
}

// named returns the Dockerfile's path and the workspace as a shim would send them.
func (o Options) named(path string) (file, workspace string, err error) {
	if o.Workspace != "" {
		if workspace, err = filepath.Abs(o.Workspace); err != nil {
			return "", "", err
		}
	}
	switch {
	case o.Dir == Stdin && workspace == "":
		return o.Dockerfile, "", nil
	case o.Dir == Stdin:
		return filepath.Join(workspace, o.Dockerfile), workspace, nil
	case workspace == "":
		workspace = checkout(filepath.Dir(path))
	}
	return path, workspace, nil
}

// checkout is the work tree of Git that dir lies in, or dir.
func checkout(dir string) string {
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Lstat(filepath.Join(at, ".git")); err == nil {
			return at
		}
		if at == filepath.Dir(at) {
			return dir
		}
	}
}

// token makes a stop token.
func token() string {
	random := make([]byte, 16)
	_, _ = rand.Read(random) // crypto/rand.Read never fails
	return hex.EncodeToString(random)
}
