package jobdir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// lockPoll is how often a step looks whether another one has made its copy.
const lockPoll = 10 * time.Millisecond

// Bring makes a program of the runner's externals, by its name below them such
// as node24/bin/node, one of the job container's /__e. Of several callers at a
// time one copies, and the others wait for it. It tells how much this one copied:
// nothing where the program was there.
func (d Dir) Bring(ctx context.Context, externals, name string) (size int64, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("bring %s to the job container: %w", name, Explain(err))
		}
	}()
	program, err := os.Open(filepath.Join(externals, filepath.FromSlash(name)))
	if err != nil {
		return 0, err
	}
	defer program.Close() // and with it the lock
	info, err := program.Stat()
	if err != nil {
		return 0, err
	}
	root, err := os.OpenRoot(d.path(externalsName))
	if err != nil {
		return 0, err
	}
	defer root.Close()
	if present(root, name, info.Size()) {
		return 0, nil
	}
	if err := lock(ctx, program); err != nil {
		return 0, err
	}
	if present(root, name, info.Size()) {
		return 0, nil
	}
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return 0, err
	}
	return info.Size(), write(root, name, 0o755, program)
}

// present tells a program that is there whole. A copy has its name when it is.
func present(root *os.Root, name string, size int64) bool {
	info, err := root.Lstat(name)
	return err == nil && info.Mode().IsRegular() && info.Size() == size
}

// lock waits until no other step copies the program. The lock is on the runner's
// own file, which no job container can hold. Where the file system has no locks
// each step makes a copy, which is only slower.
func lock(ctx context.Context, program *os.File) error {
	for {
		err := unix.Flock(int(program.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(lockPoll):
		}
	}
}

// BringAll copies all of the runner's externals, links as links. It tells how
// much that was. It is not for several callers at a time.
func (d Dir) BringAll(ctx context.Context, externals string) (size int64, err error) {
	root, err := os.OpenRoot(d.path(externalsName))
	if err != nil {
		return 0, fmt.Errorf("bring %s to the job container: %w", externals, err)
	}
	defer root.Close()
	err = filepath.WalkDir(externals, func(from string, entry fs.DirEntry, err error) error {
		if err == nil {
			err = context.Cause(ctx)
		}
		name, relErr := filepath.Rel(externals, from)
		if err = errors.Join(err, relErr); err != nil {
			return err
		}
		n, err := bring(root, from, filepath.ToSlash(name), entry)
		size += n
		return err
	})
	if err != nil {
		return size, fmt.Errorf("bring %s to the job container: %w", externals, Explain(err))
	}
	return size, nil
}

// bring copies one entry of the externals; what is no file, directory or link is
// left out.
func bring(root *os.Root, from, name string, entry fs.DirEntry) (int64, error) {
	switch entry.Type() {
	case fs.ModeDir:
		return 0, root.MkdirAll(name, 0o755)
	case fs.ModeSymlink:
		target, err := os.Readlink(from)
		if err != nil {
			return 0, err
		}
		return 0, root.Symlink(target, name)
	case 0:
	default:
		return 0, nil
	}
	file, err := os.Open(from)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), write(root, name, info.Mode().Perm()|0o444, file)
}
