package readiness

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kiln/internal/spool"
)

// A probe that waits sees a daemon that comes meanwhile, and one that does not
// wait, or waits in vain, says what is missing.
func TestProbe(t *testing.T) {
	dir := t.TempDir()
	if _, err := (Probe{Exchange: dir}).Ask(); err == nil || !strings.Contains(err.Error(), "no daemon has made the directories") {
		t.Errorf("an empty exchange: %v", err)
	}
	if _, err := (Probe{Exchange: filepath.Join(dir, "none"), Wait: 3 * interval}).Ask(); err == nil || !strings.Contains(err.Error(), "not ready: open exchange") {
		t.Errorf("no exchange: %v", err)
	}
	said, err := Probe{Exchange: filepath.Join(dir, "none"), Patience: time.Nanosecond}.Ask()
	if err != nil || !strings.HasSuffix(said, "the runner starts all the same after 1ns") {
		t.Errorf("an impatient probe: %q, %v", said, err)
	}
	answer := make(chan error, 1)
	go func() {
		_, err := Probe{Exchange: dir, Wait: time.Minute}.Ask()
		answer <- err
	}()
	exchange, err := spool.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer exchange.Close()
	if err := exchange.Init(); err != nil {
		t.Fatal(err)
	}
	lock, err := exchange.LockDaemon()
	for errors.Is(err, spool.ErrLocked) { // the probe looks by a lock of its own
		lock, err = exchange.LockDaemon()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Release() }()
	if err := <-answer; err != nil {
		t.Errorf("a daemon came: %v", err)
	}
}

func TestProcessAge(t *testing.T) {
	const rest = " S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 "
	for name, tc := range map[string]struct {
		stat, uptime string
		want         time.Duration
	}{
		"process":        {"1 (kilnd)" + rest + "12345 6 7\n", "200.25 300.00\n", 76800 * time.Millisecond},
		"name with )":    {"1 (a) b (c)" + rest + "100 6 7\n", "2.00 0.00\n", time.Second},
		"nothing":        {"", "", 0},
		"short":          {"1 (kilnd) S 0", "200.25 300.00", 0},
		"no number":      {"1 (kilnd)" + rest + "x 6 7\n", "200.25 300.00\n", 0},
		"no uptime":      {"1 (kilnd)" + rest + "100 6 7\n", "x", 0},
		"start-up ticks": {"1 (kilnd)" + rest + "0 6 7\n", "0.50 0.00\n", 500 * time.Millisecond},
	} {
		if got := ProcessAge(tc.stat, tc.uptime); got != tc.want {
			t.Errorf("%s: age = %v, want %v", name, got, tc.want)
		}
	}
	if age := firstProcessAge(); age <= 0 {
		t.Errorf("the first process is %v old", age)
	}
}
