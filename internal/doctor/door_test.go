package doctor

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"kiln/internal/agent"
	"kiln/internal/podtest"
)

// TestDoor has the two pods of the trial end in all ways; none of them is left.
func TestDoor(t *testing.T) {
	calls := func(life *podtest.Life) bool {
		return slices.Contains(life.Pod().Spec.Containers[0].Args, agent.CallCommand)
	}
	listen := func(life *podtest.Life) {
		life.Start("job")
		<-life.Deleted()
		life.Exit("job", 137)
	}
	for name, tt := range map[string]struct {
		life       func(*podtest.Life)
		status     Status
		seen, mend string
	}{
		"open": {func(life *podtest.Life) {
			if !calls(life) {
				listen(life)
				return
			}
			life.Exit("job", 0)
		}, OK, "by a socket on the work volume", ""},
		"shut": {func(life *podtest.Life) {
			if !calls(life) {
				listen(life)
				return
			}
			life.End("job", podtest.End{Code: 1, Message: "connection refused\n"})
		}, Warn, "connection refused", "SELinux"},
		"cannot listen": {func(life *podtest.Life) {
			life.End("job", podtest.End{Code: 1, Message: "listen: permission denied"})
		}, Skip, "listen: permission denied", ""},
		"no room": {func(life *podtest.Life) { <-life.Deleted() }, Skip, "did not run: context deadline exceeded", ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := inSidecarAt(t, t.TempDir(), settingsOf(nil))
			synctest.Test(t, func(t *testing.T) {
				cluster := podtest.New(t, "runners")
				cluster.Run = tt.life
				e.client, e.Patience, e.arch = cluster.Client(t, nil).Client, time.Minute, "amd64"
				e.self.Image = "registry.example.com/kiln:v1"
				wantFinding(t, e.door(t.Context()), tt.status, tt.seen, tt.mend)
				synctest.Wait()
				if left := cluster.Pods(); len(left) > 0 {
					t.Errorf("%d pods are left", len(left))
				}
			})
		})
	}
}
