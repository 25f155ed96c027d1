package spool

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Version is the version of the protocol. A daemon refuses requests of
// another version, and a shim results of another.
const Version = 1

// Names below the exchange.
const (
	dirTmp       = "tmp"
	dirRequests  = "requests"
	dirCancel    = "cancel"
	dirResponses = "responses"
	dirWishes    = "wishes"
	fileDaemon   = "daemon.lock"

	fileRequest = "request.json"
	fileContext = "context.tar"
	fileLock    = "lock"
	fileResult  = "result.json"
	fileReserve = ".result"
)

// Modes of what both sides use, whatever their user ids and umasks.
const (
	modeDir  fs.FileMode = 0o777
	modeFile fs.FileMode = 0o666
)

// Sizes in bytes that no file of the exchange may pass.
const (
	MaxRequestBytes = 4 << 20
	maxResultBytes  = 64 << 10
)

// Exchange is an open exchange directory. Its methods are safe for concurrent
// use.
type Exchange struct {
	path string
	root *os.Root
}

// Open opens the exchange at dir, which must exist. The error says that the
// directory is missing or cannot be entered.
func Open(dir string) (*Exchange, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open exchange: %w", err)
	}
	return &Exchange{path: dir, root: root}, nil
}

// Close releases the directory.
func (e *Exchange) Close() error { return e.root.Close() }

// Init makes the directories of the exchange, for the daemon. Their modes are
// set and not left to the umask: the two sides may have different user ids.
// Something else in the place of a directory is an error that names it.
func (e *Exchange) Init() error {
	for _, dir := range directories() {
		if err := e.makeDir(dir); err != nil {
			return fmt.Errorf("make exchange directory %s: %w", filepath.Join(e.path, dir), err)
		}
	}
	return nil
}

// directories are those of the exchange.
func directories() []string {
	return []string{dirTmp, dirRequests, dirCancel, dirResponses, dirWishes}
}

// makeDir makes one directory that both sides may write. One that is there
// may be what an earlier run had not opened yet, or another user's.
func (e *Exchange) makeDir(name string) error {
	info, err := e.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return makeOpen(e.root, name)
	case err != nil:
		return err
	case !info.IsDir():
		return errors.New("something else has that name: remove it")
	case info.Mode().Perm() == modeDir:
		return nil
	}
	return e.root.Chmod(name, modeDir)
}

// makeOpen makes a directory that is open to both sides from the moment that
// it has its name: a reader may wait for it.
func makeOpen(root *os.Root, name string) error {
	tmp := path.Join(path.Dir(name), "."+rand.Text())
	if err := root.Mkdir(tmp, modeDir); err != nil {
		return bare(err)
	}
	err := root.Chmod(tmp, modeDir)
	if err == nil {
		err = root.Rename(tmp, name)
	}
	if err != nil {
		_ = root.Remove(tmp)
	}
	return bare(err)
}

// Served reports whether a daemon has made the directories of the exchange.
func (e *Exchange) Served() bool {
	info, err := e.root.Lstat(dirRequests)
	return err == nil && info.IsDir()
}

// WatchDirs returns the paths whose changes concern the daemon.
func (e *Exchange) WatchDirs() []string {
	return []string{filepath.Join(e.path, dirRequests), filepath.Join(e.path, dirCancel), filepath.Join(e.path, dirWishes)}
}

// ResponsesDir returns the path below which the daemon answers.
func (e *Exchange) ResponsesDir() string { return filepath.Join(e.path, dirResponses) }

// ResponseDir returns the path of the answer to the request id.
func (e *Exchange) ResponseDir(id string) string { return filepath.Join(e.path, dirResponses, id) }

// NewID returns a request id that no other has: 26 letters and digits.
func NewID() string { return strings.ToLower(rand.Text()) }

// ValidID reports whether id has the form of a request id: 16 to 40 lower-case
// letters and digits. It is safe as a file name and as a label value.
func ValidID(id string) bool {
	if len(id) < 16 || len(id) > 40 {
		return false
	}
	for _, c := range []byte(id) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// checkID refuses an id that no request can have. It stands before whatever
// removes: an empty id would name the directory of all requests.
func checkID(id string) error {
	if !ValidID(id) {
		return fmt.Errorf("%q is not a request id", id)
	}
	return nil
}

// writeFile makes the file name whole or not at all: it is written under
// another name in the same directory, opened to both sides and renamed.
func writeFile(root *os.Root, name string, data []byte) error {
	tmp := "." + rand.Text()
	err := writeNew(root, tmp, data)
	if err == nil {
		err = root.Rename(tmp, name)
	}
	if err != nil {
		_ = root.Remove(tmp) // what is left is a dot file, which nobody reads
		return fmt.Errorf("write %s: %w", name, bare(err))
	}
	return nil
}

// writeNew writes a file that must not exist.
func writeNew(root *os.Root, name string, data []byte) error {
	file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, modeFile)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Chmod(modeFile)
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	return err
}

// bare takes the name of a temporary file out of an error.
func bare(err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err
	}
	if linkErr, ok := errors.AsType[*os.LinkError](err); ok {
		return linkErr.Err
	}
	return err
}
