package agent

import (
	"bufio"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Exit codes of a step that was not started, as Docker has them (moby,
// daemon/errors.go).
const (
	exitNotStarted    = 128
	exitNotExecutable = 126
	exitNotFound      = 127
)

// errNotInPath is the end of Docker's line for a name that PATH does not have.
var errNotInPath = errors.New("executable file not found in $PATH")

// A startError is why a step was not started.
type startError struct {
	what string // the call that failed, such as `exec: "bash"`
	err  error
	hint string
}

// Error has the part of Docker's line that people look for.
func (e *startError) Error() string {
	return "unable to start container process: " + e.what + ": " + e.err.Error() + e.hint
}

// code is the exit code that Docker gives that error.
func (e *startError) code() int {
	switch {
	case errors.Is(e.err, errNotInPath), errors.Is(e.err, unix.ENOENT), errors.Is(e.err, unix.ENOTDIR):
		return exitNotFound
	case errors.Is(e.err, unix.EACCES), errors.Is(e.err, unix.EISDIR):
		return exitNotExecutable
	}
	return exitNotStarted
}

// checkDir tells whether a step can begin in a directory.
func checkDir(dir string) error {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = unix.ENOTDIR
	}
	if err == nil {
		err = unix.Faccessat(unix.AT_FDCWD, dir, unix.X_OK, unix.AT_EACCESS)
	}
	if err == nil {
		return nil
	}
	return &startError{what: fmt.Sprintf("chdir to cwd (%q)", dir), err: errno(err)}
}

// lookPath finds the program of a step that begins in dir. A name with a slash
// is a path; any other is looked up in the step's own PATH, in which directories
// may be relative to dir, as the shell has it.
func lookPath(name, dir, path string) (string, error) {
	what := fmt.Sprintf("exec: %q", name)
	if strings.Contains(name, "/") {
		if err := checkProgram(from(dir, name)); err != nil {
			return "", &startError{what, errno(err), hint(from(dir, name), err)}
		}
		return name, nil
	}
	for _, entry := range filepath.SplitList(path) {
		if entry == "" {
			entry = "."
		}
		candidate := filepath.Join(entry, name)
		if !strings.Contains(candidate, "/") {
			candidate = "./" + candidate
		}
		if name != "" && checkProgram(from(dir, candidate)) == nil {
			return candidate, nil
		}
	}
	return "", &startError{what: what, err: errNotInPath}
}

// from is a path as seen from dir.
func from(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// checkProgram tells whether execve would have a file to read.
func checkProgram(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return unix.EISDIR
	case info.Mode()&0o111 == 0:
		return unix.EACCES
	}
	return unix.Faccessat(unix.AT_FDCWD, path, unix.X_OK, unix.AT_EACCESS)
}

// execError is what execve said about a program that is there.
func execError(name, path string, err error) *startError {
	return &startError{fmt.Sprintf("exec: %q", name), errno(err), hint(path, err)}
}

// errno is the bare error of the system in err.
func errno(err error) error {
	if number, ok := errors.AsType[syscall.Errno](err); ok {
		return number
	}
	return err
}

// hint says what the kernel's error does not.
func hint(path string, err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if missing := interpreter(path); missing != "" {
			return fmt.Sprintf(": it needs %s, which this image does not have", missing)
		}
	case errors.Is(err, fs.ErrPermission):
		var about unix.Statfs_t
		if unix.Statfs(path, &about) == nil && about.Flags&unix.ST_NOEXEC != 0 {
			return ": its file system is mounted noexec"
		}
	case errors.Is(err, unix.ENOEXEC):
		return ": it is made for another architecture, or a script without #! line"
	}
	return ""
}

// interpreter is what the kernel starts instead of a file: the loader of a
// dynamic program or the program of a script's first line. It is "" for a file
// that has none or whose own is there.
func interpreter(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	name := loader(file)
	if name == "" {
		name = shebang(file)
	}
	if name == "" {
		return ""
	}
	if _, err := os.Stat(name); err == nil {
		return ""
	}
	return name
}

// loader is the loader that an ELF file names.
func loader(file io.ReaderAt) string {
	binary, err := elf.NewFile(file)
	if err != nil {
		return ""
	}
	for _, part := range binary.Progs {
		if part.Type == elf.PT_INTERP {
			name, _ := io.ReadAll(io.LimitReader(part.Open(), unix.PathMax))
			return strings.TrimRight(string(name), "\x00")
		}
	}
	return ""
}

// shebang is the program that a script's first line names.
func shebang(file io.ReadSeeker) string {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return ""
	}
	line, _ := bufio.NewReader(io.LimitReader(file, 256)).ReadString('\n')
	fields := strings.Fields(strings.TrimPrefix(line, "#!"))
	if !strings.HasPrefix(line, "#!") || len(fields) == 0 {
		return ""
	}
	return fields[0]
}
