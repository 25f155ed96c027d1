package jobdir

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"syscall"

	"kiln/internal/failure"
	"kiln/internal/spool"
)

// Names in a job's directory, which kilnd mounts.
const (
	agentName     = "agent"
	doorName      = "door"
	externalsName = "externals"
)

// maxEntries is how many names are read of the directory of all jobs: it has one.
const maxEntries = 1000

// maxAgent is more than the program's size.
const maxAgent = 64 << 20

// A Dir is a job's directory, by the work folder and its name there.
type Dir struct{ work, name string }

// Make makes the directory of a job below the work folder, everybody's to write:
// the job container's user is any.
func Make(work string) (Dir, error) {
	d := Dir{work, hex.EncodeToString(random(16))}
	if err := d.make(); err != nil {
		return Dir{}, fmt.Errorf("make the job's directory %s: %w", d.path(""), Explain(err))
	}
	return d, nil
}

func (d Dir) make() error {
	root, err := os.OpenRoot(d.work)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.Mkdir(spool.JobsDir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := root.Lstat(spool.JobsDir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is no directory: remove it", spool.JobsDir)
	}
	for name, mode := range map[string]fs.FileMode{"": 0o777, externalsName: 0o755} {
		dir := path.Join(spool.JobsDir, d.name, name)
		if err := errors.Join(root.MkdirAll(dir, mode), root.Chmod(dir, mode)); err != nil {
			return err
		}
	}
	return nil
}

// Open is the directory that an earlier call of this job made. It is not looked
// at: what is missing fails where it is used.
func Open(work, name string) (Dir, error) {
	if raw, err := hex.DecodeString(name); err != nil || len(raw) != 16 {
		return Dir{}, fmt.Errorf("%q is not the name of a job's directory", name)
	}
	return Dir{work, name}, nil
}

// Name is what kilnd knows the directory by.
func (d Dir) Name() string { return d.name }

// Door is the path of the socket at which the job container's agent listens.
func (d Dir) Door() string { return d.path(doorName) }

func (d Dir) path(name string) string { return filepath.Join(d.work, spool.JobsDir, d.name, name) }

// PutAgent copies the program at from into the directory, for everybody to
// execute, in place of the one there, and returns its SHA-256 as hexadecimal
// digits.
func (d Dir) PutAgent(from string) (sum string, err error) {
	program, err := os.Open(from)
	if err != nil {
		return "", fmt.Errorf("find the job container's process: %w: kilnd install puts it beside the hook", err)
	}
	defer program.Close()
	hash := sha256.New()
	err = d.place(agentName, io.TeeReader(program, hash))
	if err != nil {
		return "", fmt.Errorf("copy %s to the work volume: %w", from, Explain(err))
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// CheckAgent reads the program in the directory anew and compares it with what
// [Dir.PutAgent] returned: it is for the moment before a pod is asked for. What happens
// to the file after that nobody sees.
func (d Dir) CheckAgent(sum string) error {
	found, err := d.sumOfAgent()
	if err == nil && found != sum {
		err = errors.New("it has changed since it was put there: something else writes in the work volume's " + spool.JobsDir)
	}
	if err != nil {
		return fmt.Errorf("check the agent on the work volume: %w", Explain(err))
	}
	return nil
}

// sumOfAgent is the SHA-256 of the program in the directory, which has to be a plain
// file of a size that it can have.
func (d Dir) sumOfAgent() (string, error) {
	root, err := os.OpenRoot(d.path(""))
	if err != nil {
		return "", err
	}
	defer root.Close()
	info, err := root.Lstat(agentName)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", errors.New("it is no file")
	}
	file, err := root.OpenFile(agentName, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, io.LimitReader(file, maxAgent)); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// place writes an executable file of the directory.
func (d Dir) place(name string, content io.Reader) error {
	root, err := os.OpenRoot(d.path(""))
	if err != nil {
		return err
	}
	defer root.Close()
	return write(root, name, 0o755, content)
}

// write writes a file beside its place and renames it there.
func write(root *os.Root, name string, mode fs.FileMode, content io.Reader) error {
	beside := path.Join(path.Dir(name), "."+hex.EncodeToString(random(8)))
	file, err := root.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	err = errors.Join(err, file.Chmod(mode), file.Close())
	if err == nil {
		err = root.Rename(beside, name)
	}
	if err != nil {
		_ = root.Remove(beside)
	}
	return err
}

// Remove removes the directory, and what all jobs have together if nothing is left
// there.
func (d Dir) Remove() error {
	root, err := os.OpenRoot(d.work)
	if err != nil {
		return fmt.Errorf("remove the directory of an action: %w", err)
	}
	defer root.Close()
	if err := root.RemoveAll(path.Join(spool.JobsDir, d.name)); err != nil {
		return fmt.Errorf("remove the directory of an action: %w", err)
	}
	_ = root.Remove(spool.JobsDir) // unless others have theirs
	return nil
}

// Sweep removes the directories of all jobs from the work folder: one runner has
// one job at a time, so they are of this one and of those whose end never came.
// It removes what it can and returns the first error.
func Sweep(work string) error {
	root, err := os.OpenRoot(work)
	if err != nil {
		return fmt.Errorf("remove the job's directory: %w", err)
	}
	defer root.Close()
	all, err := root.Open(spool.JobsDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove the job's directory: %w", err)
	}
	defer all.Close()
	names, _ := all.Readdirnames(maxEntries) // what cannot be read stays
	var failed error
	for _, name := range names {
		if _, err := Open(work, name); err != nil {
			continue // a repository may have the name
		}
		if err := root.RemoveAll(path.Join(spool.JobsDir, name)); err != nil && failed == nil {
			failed = fmt.Errorf("remove the job's directory: %w", err)
		}
	}
	_ = root.Remove(spool.JobsDir) // unless something else is in it
	return failed
}

// Explain adds what to do to an error of the work volume. Of a full one it leaves out
// what did not fit, which is a file of a moment.
func Explain(err error) error {
	full, _ := errors.AsType[syscall.Errno](err)
	switch {
	case full == syscall.ENOSPC, full == syscall.EDQUOT:
		return failure.New(failure.DiskFull, "%w: the work volume is full: give the runner a larger one", full)
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w: the runner has to own its work folder", err)
	}
	return err
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // crypto/rand.Read never fails
	return b
}
