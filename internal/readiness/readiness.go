// Package readiness tells whether the exchange is served. It is what the postStart
// hook of the sidecar waits for, and with it the runner: a port of the pod can be another container's, and a
// wrong setting or an API server that is down must not keep the runner from
// starting.
package readiness

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"kiln/internal/spool"
)

// interval is how often an exchange that is not served is looked at.
const interval = 10 * time.Millisecond

// Probe is one question.
type Probe struct {
	// Exchange is the directory shared with the runner container.
	Exchange string
	// Wait is how long the answer may take.
	Wait time.Duration
	// Patience, unless it is 0, is the age of the container's first process from
	// which the answer is yes in any case: a hook that fails has the kubelet start
	// the container anew, and the runner never.
	Patience time.Duration
}

// Ask returns what to print of an exchange that is served, or why it is not.
func (p Probe) Ask() (string, error) {
	err := p.await()
	if err == nil {
		return fmt.Sprintf("the exchange %s is served", p.Exchange), nil
	}
	err = fmt.Errorf("not ready: %w: the log of the kiln container says why", err)
	if p.Patience <= 0 || firstProcessAge() < p.Patience {
		return "", err
	}
	return fmt.Sprintf("%v; the runner starts all the same after %s", err, p.Patience), nil
}

// await looks until the exchange is served or Wait is over.
func (p Probe) await() error {
	for deadline := time.Now().Add(p.Wait); ; time.Sleep(interval) {
		err := p.served()
		if err == nil || !time.Now().Before(deadline) {
			return err
		}
	}
}

func (p Probe) served() error {
	exchange, err := spool.Open(p.Exchange)
	if err != nil {
		return err
	}
	defer exchange.Close()
	if !exchange.Served() {
		return fmt.Errorf("no daemon has made the directories of the exchange %s", p.Exchange)
	}
	if !exchange.DaemonAlive() {
		return fmt.Errorf("no daemon holds the lock of the exchange %s", p.Exchange)
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
	return ProcessAge(string(stat), string(uptime))
}

// ProcessAge reads the age of a process from its stat and the machine's uptime
// (proc_pid_stat(5), field 22, in hundredths of a second since the start of the
// machine; proc_uptime(5), first number, in seconds).
func ProcessAge(stat, uptime string) time.Duration {
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
