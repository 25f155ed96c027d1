package buildinit

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// knock is how long [Await] waits between two tries.
const knock = 5 * time.Millisecond

// Await waits until somebody listens at address, on TCP over IPv4, and at most for that
// long. Nothing is sent.
func Await(address string, most time.Duration) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || !at.Addr().Is4() {
		return fmt.Errorf("%q is no address of IPv4 with a port", address)
	}
	to := &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
	for began := time.Now(); ; time.Sleep(knock) {
		err := connect(to)
		if err == nil {
			return nil
		}
		if time.Since(began) >= most {
			return fmt.Errorf("nobody listens at %s after %s: %w", address, most, err)
		}
	}
}

// connect makes a connection and closes it. The net package, with its names and pollers,
// would double this program.
func connect(to unix.Sockaddr) error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("make a socket: %w", err)
	}
	return errors.Join(unix.Connect(socket, to), unix.Close(socket))
}

// InputLine is what [TellInput] writes.
const InputLine = Prefix + "something comes"

// TellInput writes a line to log once something comes from a pipe, or its end. It takes
// nothing of it.
func TellInput(pipe int, log io.Writer) {
	for {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(pipe), Events: unix.POLLIN}}, -1)
		switch {
		case err == nil:
			fmt.Fprintln(log, InputLine)
			return
		case !errors.Is(err, unix.EINTR):
			fmt.Fprintf(log, Prefix+"wait for input: %v\n", err)
			return
		}
	}
}
