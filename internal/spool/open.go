package spool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// errNotPlain is a file that is not what a request may hold.
var errNotPlain = errors.New("is not a regular file with one link")

// openPlain opens a file that the other side wrote. A name is looked at
// before it is opened and compared afterwards, because os.Root follows links
// inside its directory; O_NONBLOCK keeps a FIFO from stopping the opener.
func openPlain(root *os.Root, name string) (*os.File, error) {
	before, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, fmt.Errorf("%s %w", name, errNotPlain)
	}
	file, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	after, err := file.Stat()
	if err == nil && !plain(before, after) {
		err = fmt.Errorf("%s %w", name, errNotPlain)
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

// plain reports whether after is a regular file with one link and the file
// that before described.
func plain(before, after fs.FileInfo) bool {
	stat, ok := after.Sys().(*syscall.Stat_t)
	return ok && stat.Nlink == 1 && after.Mode().IsRegular() && os.SameFile(before, after)
}

// readPlain reads a file that the other side wrote, of at most limit bytes.
func readPlain(root *os.Root, name string, limit int64) ([]byte, error) {
	file, err := openPlain(root, name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", name, limit)
	}
	return data, nil
}

// openDir opens a directory that the other side made, and only a directory:
// a link in its place is refused.
func openDir(root *os.Root, name string) (*os.Root, error) {
	before, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !before.IsDir() {
		return nil, fmt.Errorf("%s is not a directory", name)
	}
	dir, err := root.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	after, err := dir.Stat(".")
	if err == nil && !os.SameFile(before, after) {
		err = fmt.Errorf("%s changed while it was opened", name)
	}
	if err != nil {
		_ = dir.Close()
		return nil, err
	}
	return dir, nil
}
