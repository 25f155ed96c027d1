package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"kiln/internal/spool"
)

// readyName is the command of the start-up probe.
const readyName = "ready"

// readyCommand tells whether the exchange is served. It is what the start-up
// probe asks: a port of the pod can be another container's, and a wrong setting
// or an API server that is down must not keep the runner from starting.
type readyCommand struct {
	Exchange string        `help:"Directory shared with the runner container." default:"/var/run/kiln" env:"KILN_EXCHANGE"`
	Patience time.Duration `help:"Succeed in any case once the container's first process is that old; 0 is never. A probe that fails for ever keeps the runner from every job." default:"0s"`
}

// Run prints that the exchange is served, or returns why it is not.
func (c *readyCommand) Run(stdout io.Writer) error {
	message := fmt.Sprintf("the exchange %s is served", c.Exchange)
	if err := c.served(); err != nil {
		err = fmt.Errorf("not ready: %w: the log of the kiln container says why", err)
		if c.Patience <= 0 || firstProcessAge() < c.Patience {
			return err
		}
		message = fmt.Sprintf("%v; the runner starts all the same after %s", err, c.Patience)
	}
	_, err := fmt.Fprintln(stdout, message)
	return err
}

func (c *readyCommand) served() error {
	exchange, err := spool.Open(c.Exchange)
	if err != nil {
		return err
	}
	defer exchange.Close()
	if !exchange.Served() {
		return fmt.Errorf("no daemon has made the directories of the exchange %s", c.Exchange)
	}
	if !exchange.DaemonAlive() {
		return fmt.Errorf("no daemon holds the lock of the exchange %s", c.Exchange)
	}
	return nil
}

// firstProcessAge returns how long process 1 runs: that of the container, or of
// the pod where its containers share their processes. It is 0 where nothing
// tells.
func firstProcessAge() time.Duration {
	stat, err := os.ReadFile("/proc/1/stat")
	if err != nil {
		return 0
	}
	uptime, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return 0
	}
	return processAge(string(stat), string(uptime))
}

// processAge reads the age of a process from its stat and the machine's uptime
// (proc_pid_stat(5), field 22, in hundredths of a second since the start of the
// machine; proc_uptime(5), first number, in seconds).
func processAge(stat, uptime string) time.Duration {
	const hundredth = 10 * time.Millisecond
	// The name in field 2 may hold spaces and brackets.
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	up := strings.Fields(uptime)
	if len(fields) < 20 || len(up) == 0 {
		return 0
	}
	started, err := strconv.ParseInt(fields[19], 10, 64)
	if err != nil {
		return 0
	}
	now, err := strconv.ParseFloat(up[0], 64)
	if err != nil {
		return 0
	}
	return time.Duration(now*float64(time.Second)) - time.Duration(started)*hundredth
}

// readyLine is the command line of the start-up probe. Kong reads the variables
// of all commands that it knows, and a wrong one of the daemon is no fault of
// this command.
type readyLine struct {
	Ready readyCommand `cmd:""`
}
