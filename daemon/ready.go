package main

import (
	"fmt"
	"io"

	"kiln/internal/spool"
)

// readyName is the command of the start-up probe.
const readyName = "ready"

// readyCommand tells whether the exchange is served. It is what the start-up
// probe asks: a port of the pod can be another container's, and a wrong setting
// or an API server that is down must not keep the runner from starting.
type readyCommand struct {
	Exchange string `help:"Directory shared with the runner container." default:"/var/run/kiln" env:"KILN_EXCHANGE"`
}

// Run prints that the exchange is served, or returns why it is not.
func (c *readyCommand) Run(stdout io.Writer) error {
	exchange, err := spool.Open(c.Exchange)
	if err != nil {
		return fmt.Errorf("not ready: %w: the volume of the exchange has to be mounted there", err)
	}
	defer exchange.Close()
	if !exchange.Served() {
		return fmt.Errorf("not ready: no daemon has made the directories of the exchange %s: the log of the kiln container says why", c.Exchange)
	}
	if !exchange.DaemonAlive() {
		return fmt.Errorf("not ready: no daemon holds the lock of the exchange %s: the log of the kiln container says why", c.Exchange)
	}
	_, err = fmt.Fprintf(stdout, "the exchange %s is served\n", c.Exchange)
	return err
}

// readyLine is the command line of the start-up probe. Kong reads the variables
// of all commands that it knows, and a wrong one of the daemon is no fault of
// this command.
type readyLine struct {
	Ready readyCommand `cmd:""`
}
