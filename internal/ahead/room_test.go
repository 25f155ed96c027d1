package ahead_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/ahead"
	"kiln/internal/label"
	"kiln/internal/podrun"
	"kiln/internal/podtest"
	"kiln/internal/spool"
)

// full is a cluster whose quota has no room until some time.
type full struct {
	ahead.Cluster

	until time.Time
}

func (f full) CreatePod(_ context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	if time.Now().Before(f.until) {
		return nil, podtest.QuotaFull(pod.Name, 1)
	}
	return pod, nil
}

func (f full) QuotaFull(err error) (string, bool) { return podrun.Client{}.QuotaFull(err) }

// TestRoom: the pod of a step, also one that nobody tries again, gets the room of a wish;
// without a wish, and for a wish, there is nothing to wait for.
func TestRoom(t *testing.T) {
	for name, tt := range map[string]struct {
		request     string
		wish        bool          // is being carried out
		full        time.Duration // from now on
		made, ended bool
		atMost      time.Duration
	}{
		"a step beside a wish": {spool.NewID(), true, 3 * time.Second, true, true, 4 * time.Second},
		"a step alone":         {spool.NewID(), false, 3 * time.Second, false, false, 0},
		"a wish":               {spool.WishID(spool.NewWishJob(), 0), true, 3 * time.Second, false, true, 0},
		"room for both":        {spool.NewID(), true, 0, true, false, 0},
		"others are there":     {spool.NewID(), true, time.Hour, false, true, 16 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var builds ahead.Builds
				wish := t.Context()
				if tt.wish {
					job := spool.NewWishJob()
					builds.BeginJob(job)
					var end func()
					var err error
					if wish, end, err = builds.Begin(t.Context(), spool.WishID(job, 0), "/Dockerfile"); err != nil {
						t.Fatal(err)
					}
					defer end()
				}
				began := time.Now()
				pods := ahead.Pods{Cluster: full{until: began.Add(tt.full)}, Builds: &builds}
				pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "x", Labels: map[string]string{label.Request: tt.request}}}
				_, err := pods.CreatePod(t.Context(), pod)
				if took := time.Since(began); (err == nil) != tt.made || took > tt.atMost {
					t.Errorf("error %v after %s", err, took)
				}
				if ended := errors.Is(context.Cause(wish), ahead.ErrNoRoom); ended != tt.ended {
					t.Errorf("the wish has ended: %v", ended)
				}
			})
		})
	}
}
