package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// Why a file or directory of the other side is refused.
var (
	// errNotPlain is what never becomes right by itself.
	errNotPlain = errors.New("is not a regular file with one link")
	// errChanged is a name that meant something else a moment ago. Where the
	// other side is trusted to rename over its files, looking again helps.
	errChanged = errors.New("changed while it was opened")
)

// maxNames bounds how much of a directory one scan reads.
const maxNames = 10_000

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
	if err == nil {
		err = plain(before, after)
	}
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("%s %w", name, err)
	}
	return file, nil
}

// plain says whether after is the file that before described, and a regular
// one with one link. No link at all means that it was removed or replaced.
func plain(before, after fs.FileInfo) error {
	stat, ok := after.Sys().(*syscall.Stat_t)
	switch {
	case !os.SameFile(before, after):
		return errChanged
	case !ok || !after.Mode().IsRegular() || stat.Nlink > 1:
		return errNotPlain
	case stat.Nlink == 0:
		return errChanged
	}
	return nil
}

// readPlain reads a file that the other side wrote, of at most limit bytes.
func readPlain(root *os.Root, name string, limit int64) ([]byte, error) {
	file, err := openPlain(root, name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	var content bytes.Buffer
	content.Grow(int(min(info.Size(), limit)) + bytes.MinRead + 1) // grown once, whatever is in it
	if _, err := content.ReadFrom(io.LimitReader(file, limit+1)); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	data := content.Bytes()
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", name, limit)
	}
	return data, nil
}

// openDir opens a directory that the other side made, and only a directory:
// a link in its place is refused. The dot makes the kernel want a directory
// (O_DIRECTORY), so that a FIFO put there meanwhile cannot stop the opener.
func openDir(root *os.Root, name string) (*os.Root, error) {
	before, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !before.IsDir() {
		return nil, fmt.Errorf("%s is not a directory", name)
	}
	dir, err := root.OpenRoot(name + "/.")
	if err != nil {
		return nil, err
	}
	after, err := dir.Stat(".")
	if err == nil && !os.SameFile(before, after) {
		err = fmt.Errorf("%s %w", name, errChanged)
	}
	if err != nil {
		_ = dir.Close()
		return nil, err
	}
	return dir, nil
}

// readNames lists a directory of the exchange, up to [maxNames] names. A
// missing one is empty.
func readNames(root *os.Root, name string) ([]string, error) {
	dir, err := openDir(root, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return listNames(dir)
}

// listNames lists an open directory, up to [maxNames] names.
func listNames(dir *os.Root) ([]string, error) {
	file, err := dir.Open(".")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	names, err := file.Readdirnames(maxNames)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return names, err
}

// removeFlat removes a file, or a directory and the files in it. It does not
// descend: kiln nests no directories, and walking a tree that the other side
// made to be deep or endless would cost the daemon its memory. The error says
// what stays.
func removeFlat(root *os.Root, name string) error {
	err := root.Remove(name)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	dir, openErr := openDir(root, name)
	if openErr != nil {
		return err
	}
	defer dir.Close()
	names, err := listNames(dir)
	if err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	var first error
	for _, entry := range names {
		if err := dir.Remove(entry); err != nil && first == nil {
			first = fmt.Errorf("remove %s: %w", name, err)
		}
	}
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(first, err)
	}
	return nil
}
