package supervisor

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

const (
	// envLifeline is the variable by which a worker learns which of its descriptors is
	// its lifeline.
	envLifeline = "KILN_WORKER_LIFELINE"
	// lifelineFile is that descriptor: the first behind the standard ones.
	lifelineFile = 3
)

// Lifeline returns what a worker hands to a process that is to outlive it: a pipe whose
// end is read when the supervisor has ended. It is nil without a supervisor. A process
// calls it once.
func Lifeline() (*os.File, error) {
	value := os.Getenv(envLifeline)
	if value == "" {
		return nil, nil //nolint:nilnil // that there is none is no error
	}
	number, err := strconv.Atoi(value)
	if err != nil || number < lifelineFile {
		return nil, fmt.Errorf("%s=%s: that is no descriptor of a supervisor's", envLifeline, value)
	}
	unix.CloseOnExec(number) // children have it where they are given it
	file := os.NewFile(uintptr(number), "lifeline")
	if file == nil {
		return nil, errors.New("the descriptor of the supervisor's lifeline is not open")
	}
	return file, nil
}
