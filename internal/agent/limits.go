package agent

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"kiln/internal/children"
)

// LimitCommand is the first argument with which the program that calls [Serve]
// is started once more to set limits, and has to call [ExecLimited]: limits are
// a process's own to set, between its start and its program's.
const LimitCommand = "limit"

// statusFD is where the process that sets limits says why it could not.
const statusFD = 3

// startLimited starts a program with limits of its own.
func startLimited(set *children.Set, path string, call Call, attr *syscall.ProcAttr) (*children.Child, error) {
	var status [2]int
	if err := unix.Pipe2(status[:], unix.O_CLOEXEC); err != nil {
		return nil, err
	}
	read := os.NewFile(uintptr(status[0]), "status")
	defer read.Close()
	argv := append([]string{"kiln-agent", LimitCommand, formatLimits(call.Limits), path}, call.Argv...)
	attr.Files = append(attr.Files, uintptr(status[1]))
	child, err := set.Start("/proc/self/exe", argv, attr)
	_ = unix.Close(status[1])
	if err != nil {
		return nil, fmt.Errorf("set limits: %w", err)
	}
	said, err := io.ReadAll(io.LimitReader(read, 5)) // ends when the program is executed
	if err == nil && len(said) == 0 {
		return child, nil
	}
	child.Wait()
	return nil, errors.Join(err, limitError(said, call.Limits))
}

// limitError is what the process said that sets limits: the number of the limit
// that could not be set, or that of none of them, and the system's error.
func limitError(said []byte, limits []Limit) error {
	if len(said) != 5 {
		return errors.New("the process that sets limits ended")
	}
	err := syscall.Errno(binary.BigEndian.Uint32(said[1:]))
	if at := int(said[0]); at < len(limits) {
		return &startError{what: fmt.Sprintf("setrlimit %d", limits[at].Resource), err: err}
	}
	return err
}

// ExecLimited sets the limits and becomes the program that args, what follows
// [LimitCommand], name. It returns an exit code where it could not.
func ExecLimited(args []string) int {
	if len(args) < 3 {
		fmt.Fprintln(os.Stderr, "kiln-agent: "+LimitCommand+" is for kiln-agent itself")
		return exitNotStarted
	}
	unix.CloseOnExec(statusFD)
	limits, err := parseLimits(args[0])
	at := len(limits)
	for i, limit := range limits {
		if err == nil {
			at, err = i, syscall.Setrlimit(limit.Resource, &syscall.Rlimit{Cur: limit.Soft, Max: limit.Hard})
		}
	}
	if err == nil {
		at, err = len(limits), syscall.Exec(args[1], args[2:], os.Environ())
	}
	number, _ := errors.AsType[syscall.Errno](err)
	_, _ = unix.Write(statusFD, binary.BigEndian.AppendUint32([]byte{byte(at)}, uint32(number)))
	return exitNotStarted
}

// formatLimits writes limits as parseLimits reads them.
func formatLimits(limits []Limit) string {
	var list []string
	for _, l := range limits {
		list = append(list, fmt.Sprintf("%d:%d:%d", l.Resource, l.Soft, l.Hard))
	}
	return strings.Join(list, ",")
}

func parseLimits(text string) ([]Limit, error) {
	var limits []Limit
	for item := range strings.SplitSeq(text, ",") {
		parts := strings.Split(item, ":")
		if len(parts) != 3 {
			return nil, unix.EINVAL
		}
		resource, err1 := strconv.Atoi(parts[0])
		soft, err2 := strconv.ParseUint(parts[1], 10, 64)
		hard, err3 := strconv.ParseUint(parts[2], 10, 64)
		if errors.Join(err1, err2, err3) != nil {
			return nil, unix.EINVAL
		}
		limits = append(limits, Limit{resource, soft, hard})
	}
	return limits, nil
}
