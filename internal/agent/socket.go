package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// maxSocketPath is what an address of a Unix socket holds (unix(7)).
const maxSocketPath = 107

// listenUnix listens at a path, in place of what an earlier job left there. The
// socket appears there when everybody can connect to it, which takes the right
// to write it (unix(7)), and not before.
func listenUnix(path string) (net.Listener, error) {
	beside := path + ".part"
	if err := os.Remove(beside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	var listener *net.UnixListener
	err := at(beside, func(short string) (err error) {
		listener, err = net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	listener.SetUnlinkOnClose(false) // by then the name may be another's
	if err := errors.Join(os.Chmod(beside, 0o666), os.Rename(beside, path)); err != nil {
		return nil, errors.Join(fmt.Errorf("listen on %s: %w", path, err), listener.Close())
	}
	return listener, nil
}

// dialUnix connects to the socket at a path. A link there is not followed:
// whoever can write the directory would lead this process to a socket that only
// this process can reach.
func dialUnix(ctx context.Context, path string) (net.Conn, error) {
	socket, err := os.OpenFile(path, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer socket.Close()
	info, err := socket.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return nil, fmt.Errorf("%s is no socket", path)
	}
	return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join("/proc/self/fd", strconv.Itoa(int(socket.Fd()))))
}

// at calls f with a name of path that an address of a socket holds: the path
// itself, or its base below an open descriptor of its directory.
func at(path string, f func(short string) error) error {
	if len(path) <= maxSocketPath {
		return f(path)
	}
	dir, err := os.OpenFile(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer dir.Close()
	return f(filepath.Join("/proc/self/fd", strconv.Itoa(int(dir.Fd())), filepath.Base(path)))
}
