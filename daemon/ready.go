package main

import (
	"fmt"
	"io"
	"time"

	"kiln/internal/readiness"
)

// readyName is the command that asks what the sidecar's postStart hook does.
const readyName = "ready"

// readyCommand tells whether the exchange is served.
type readyCommand struct {
	Exchange string        `help:"Directory shared with the runner container." default:"/var/run/kiln" env:"KILN_EXCHANGE"`
	Wait     time.Duration `help:"How long to wait for it." default:"0s"`
	Patience time.Duration `help:"Succeed in any case once the container's first process is that old; 0 is never. A hook that fails for ever keeps the runner from every job." default:"0s"`
}

// Run prints that the exchange is served, or returns why it is not.
func (c *readyCommand) Run(stdout io.Writer) error {
	message, err := readiness.Probe{Exchange: c.Exchange, Wait: c.Wait, Patience: c.Patience}.Ask()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, message)
	return err
}

// readyLine is the command line of ready. Kong reads the variables
// of all commands that it knows, and a wrong one of the daemon is no fault of
// this command.
type readyLine struct {
	Ready readyCommand `cmd:""`
}
