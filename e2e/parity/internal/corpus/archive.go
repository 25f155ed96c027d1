package corpus

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/tools/txtar"
)

// parse reads a case. The first line of a txtar file's comment says what the
// case covers; the others, up to the first empty line, are done in order after
// the files were written:
//
//	dockerfile PATH            the Dockerfile, if it is not "Dockerfile"
//	base REFERENCE NAME        the local base that a reference stands for
//	slow                       the case takes more than a second or two, or much the same as others
//	dir PATH                   an empty directory
//	chmod MODE PATH            permission bits in octal, setuid and so on included
//	chown UID GID PATH         owner
//	symlink PATH TARGET        a symbolic link
//	hardlink PATH OTHER        another name for a file
//	fifo PATH                  a named pipe
//	touch SECONDS PATH         modification time, in seconds since 1970
//	tar PATH DIR               an archive of what is in DIR, which is removed
//	tgz PATH DIR               the same, compressed with gzip
//	sh COMMAND                 a command of the machine's shell, in the context
func parse(data []byte) (Case, error) {
	archive := txtar.Parse(data)
	covers, rest, _ := strings.Cut(string(archive.Comment), "\n")
	c := Case{Covers: strings.TrimSpace(covers), Dockerfile: "Dockerfile", Bases: map[string]string{}}
	if c.Covers == "" {
		return c, errors.New("the first line must say what the case covers")
	}
	steps, err := c.steps(rest)
	if err != nil {
		return c, err
	}
	c.write = func(dir string) error {
		for _, file := range archive.Files {
			if err := writeFile(filepath.Join(dir, file.Name), file.Data); err != nil {
				return err
			}
		}
		for _, step := range steps {
			if err := step.do(dir); err != nil {
				return fmt.Errorf("%s: %w", strings.Join(step, " "), err)
			}
		}
		return settle(dir, stamp())
	}
	return c, nil
}

// steps parses the lines of the comment that change the context.
func (c *Case) steps(text string) ([]step, error) {
	var steps []step
	for line := range strings.Lines(text) {
		words := step(strings.Fields(line))
		switch {
		case len(words) == 0:
			return steps, nil
		case words[0] == "dockerfile" && len(words) == 2:
			c.Dockerfile = words[1]
		case words[0] == "slow" && len(words) == 1:
			c.Slow = true
		case words[0] == "base" && len(words) == 3:
			c.Bases[words[1]] = words[2]
		case words[0] == "sh" && len(words) > 1:
			steps = append(steps, step{"sh", strings.TrimSpace(strings.TrimPrefix(line, "sh "))})
		case len(words) != arguments(words[0]):
			return nil, fmt.Errorf("line %q is not understood", strings.TrimSpace(line))
		default:
			steps = append(steps, words)
		}
	}
	return steps, nil
}

// step is one line of a case's comment: a verb and its arguments.
type step []string

// arguments is the number of words of a step.
func arguments(verb string) int {
	switch verb {
	case "dir", "fifo":
		return 2
	case "chmod", "symlink", "hardlink", "touch", "tar", "tgz":
		return 3
	case "chown":
		return 4
	}
	return -1
}

func (s step) do(dir string) error {
	at := func(i int) string { return filepath.Join(dir, s[i]) }
	switch s[0] {
	case "dir":
		return os.MkdirAll(at(1), 0o755)
	case "fifo":
		return syscall.Mkfifo(at(1), 0o644)
	case "chmod":
		mode, err := strconv.ParseUint(s[1], 8, 12)
		return errors.Join(err, syscall.Chmod(at(2), uint32(mode)))
	case "chown":
		uid, err := strconv.Atoi(s[1])
		gid, gidErr := strconv.Atoi(s[2])
		return errors.Join(err, gidErr, os.Lchown(at(3), uid, gid))
	case "symlink":
		return errors.Join(os.MkdirAll(filepath.Dir(at(1)), 0o755), os.Symlink(s[2], at(1)))
	case "hardlink":
		return os.Link(at(2), at(1))
	case "touch":
		seconds, err := strconv.ParseInt(s[1], 10, 64)
		return errors.Join(err, os.Chtimes(at(2), time.Unix(seconds, 0), time.Unix(seconds, 0)))
	case "sh":
		return shell(dir, s[1])
	default:
		return pack(at(1), at(2), s[0] == "tgz")
	}
}

// shell runs a command in a directory.
func shell(dir, command string) error {
	cmd := exec.Command("/bin/sh", "-ec", command)
	cmd.Dir = dir
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, output)
	}
	return nil
}

// writeFile writes one file of a context. What starts as a script is
// executable, as it is in a repository.
func writeFile(name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	mode := os.FileMode(0o644)
	if strings.HasPrefix(string(data), "#!") {
		mode = 0o755
	}
	if err := os.WriteFile(name, data, mode); err != nil {
		return err
	}
	return os.Chmod(name, mode)
}

// settle gives everything that was written just now an old time.
func settle(dir string, stamp time.Time) error {
	recent := time.Now().Add(-time.Hour)
	return filepath.WalkDir(dir, func(name string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if info.ModTime().Before(recent) {
			return nil
		}
		at := unix.NsecToTimeval(stamp.UnixNano())
		return unix.Lutimes(name, []unix.Timeval{at, at})
	})
}

// pack writes an archive of what is in dir, as root's, and removes dir.
func pack(name, dir string, compress bool) (err error) {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close(), os.RemoveAll(dir)) }()
	if err := settle(dir, archived()); err != nil {
		return err
	}
	var sink io.WriteCloser = file
	if compress {
		sink = gzip.NewWriter(file)
		defer func() { err = errors.Join(err, sink.Close()) }()
	}
	out := tar.NewWriter(sink)
	if err := out.AddFS(os.DirFS(dir)); err != nil {
		return err
	}
	return out.Close()
}
