package actionrun_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kiln/internal/actionrun"
	"kiln/internal/podtest"
	"kiln/internal/spool"
)

// TestTold: an action that tells its end itself has ended then, whatever the cluster
// knows of it by that time, and what was made for it is deleted.
func TestTold(t *testing.T) {
	const unseen = 2 * time.Second // what the node takes to say that a container has started
	for name, tt := range map[string]struct {
		way    spool.Way
		exits  int
		tells  time.Duration // since the container's start; 0 is never
		starts time.Duration // when the node says that it has
		ends   time.Duration // when the node says that it has ended
		code   int
		says   string        // the error
		over   time.Duration // since the start
	}{
		"before its start is seen":  {spool.Taken, 0, time.Second, unseen, 3 * time.Second, 0, "", time.Second},
		"before its end is seen":    {spool.Taken, 0, 4 * time.Second, unseen, 5 * time.Second, 0, "", 4 * time.Second},
		"behind its end":            {spool.Taken, 0, 6 * time.Second, unseen, 5 * time.Second, 0, "", 5 * time.Second},
		"never":                     {spool.Taken, 0, 0, unseen, 5 * time.Second, 0, "", 5 * time.Second},
		"badly":                     {spool.Taken, 3, time.Second, unseen, 3 * time.Second, 3, "ended with exit code 3", time.Second},
		"what the node never sees":  {spool.Taken, 0, time.Second, unseen, time.Hour, 0, "", time.Second},
		"without having the outlet": {spool.Shut, 3, time.Second, unseen, 5 * time.Second, 0, "", 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				shim := &hookShim{}
				var began time.Time
				s := newStage(t, func(life *podtest.Life) {
					began = time.Now()
					time.AfterFunc(10*time.Millisecond, func() { shim.say(tt.way) })
					if tt.tells > 0 {
						time.AfterFunc(tt.tells, func() { shim.tell(tt.exits) })
					}
					life.Wait(tt.starts)
					life.Start(job)
					if life.Wait(tt.ends - tt.starts) {
						life.Exit(job, 0)
					}
				}, nil)
				s.step.Outlet = &actionrun.Outlet{At: spool.Outlet{Dir: strings.Repeat("d", 32), Token: strings.Repeat("0", 32)}, Shim: shim}
				var over, gone time.Duration
				s.step.Over = func(code int, err error) {
					over = time.Since(began)
					if code != tt.code || s.left() != "jobs pods" {
						t.Errorf("told code %d, %v, with %q left", code, err, s.left())
					}
				}
				code, err := s.run(t.Context(), actionrun.Image{Reference: "busybox"})
				gone = time.Since(began)
				if code != tt.code || (err != nil) != (tt.says != "") || err != nil && !strings.Contains(err.Error(), tt.says) {
					t.Errorf("code %d, error %v", code, err)
				}
				slack := 150 * time.Millisecond
				if tt.way == spool.Shut {
					slack = time.Second // the log is read
				}
				if late := over - tt.over; late < 0 || late > slack {
					t.Errorf("over after %v, want %v", over, tt.over)
				}
				if gone-over > 100*time.Millisecond || s.left() != "" {
					t.Errorf("deleted %v behind the end, %q is left", gone-over, s.left())
				}
				if !strings.Contains(s.log.String(), "kiln: start ") {
					t.Errorf("the log does not say how long it took:\n%s", s.log.String())
				}
			})
		})
	}
}

// TestToldInVain: a shim that says that the action prints does not end the wait for its
// container, and what comes behind a cancellation is no end.
func TestToldInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shim := &hookShim{way: spool.Taken}
		s := newStage(t, func(life *podtest.Life) { life.Wait(time.Hour) }, nil) // it never starts
		s.step.Outlet = &actionrun.Outlet{At: spool.Outlet{Dir: strings.Repeat("d", 32), Token: strings.Repeat("0", 32)}, Shim: shim}
		began := time.Now()
		_, err := s.run(t.Context(), actionrun.Image{Reference: "busybox"})
		if took := time.Since(began); err == nil || took < s.options.PendingTimeout || took > s.options.PendingTimeout+10*time.Second {
			t.Errorf("%v after %v", err, took)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		shim := &hookShim{way: spool.Taken}
		s := newStage(t, prints(0), nil)
		s.step.Outlet = &actionrun.Outlet{At: spool.Outlet{Dir: strings.Repeat("d", 32), Token: strings.Repeat("0", 32)}, Shim: shim}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(2*time.Second, func() { cancel(); shim.tell(0) })
		if code, err := s.run(ctx, actionrun.Image{Reference: "busybox"}); code == 0 || err == nil {
			t.Errorf("code %d, error %v", code, err)
		}
	})
}
