package podtest

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"kiln/internal/podrun"
)

// TestEvents has a pod not start: its state and an event say why, as a client finds them.
func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := New(t, "ci")
		cluster.Run = func(life *Life) {
			life.Waits("job", "ErrImagePull", "manifest unknown")
			life.Event("Failed", "no such image of "+life.Pod().Name)
			<-life.Deleted()
		}
		client := cluster.Client(t, nil)
		if _, err := client.CreatePod(t.Context(), aPod()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		pod, err := client.Pod(t.Context(), "p")
		if err != nil || len(pod.Status.ContainerStatuses) != 1 || pod.Status.ContainerStatuses[0].State.Waiting.Reason != "ErrImagePull" {
			t.Errorf("pod %+v, %v", pod, err)
		}
		events := client.Events(t.Context(), "Pod", "p")
		if len(events) != 1 || events[0].Reason != "Failed" || events[0].Message != "no such image of p" {
			t.Errorf("events %+v", events)
		}
		if names := strings.Join(cluster.Names(), " "); names != "pods/p" {
			t.Errorf("the cluster has %s", names)
		}
	})
}

// TestEndsOfAPod: one that is deleted has its grace, and one that is removed has none.
func TestEndsOfAPod(t *testing.T) {
	for name, tt := range map[string]struct {
		end  func(*Life)
		took time.Duration
	}{
		"deleted": {func(life *Life) { life.Delete(30) }, 30 * time.Second},
		"removed": {(*Life).Remove, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cluster := New(t, "ci")
				told := make(chan time.Time, 1)
				cluster.Run = func(life *Life) {
					life.Start("job")
					tt.end(life)
					<-life.Deleted()
					told <- time.Now()
					<-life.Gone()
					life.Remove() // what is gone stays so
					life.Change(func(*corev1.Pod) { t.Error("a pod that is gone was changed") })
				}
				client := cluster.Client(t, nil)
				began := time.Now()
				if _, err := client.CreatePod(t.Context(), aPod()); err != nil {
					t.Fatal(err)
				}
				err := client.Watch(t.Context(), "p", func(*corev1.Pod) (bool, error) { return false, nil })
				if took := time.Since(began); !errors.Is(err, podrun.ErrGone) || took != tt.took || (<-told).Sub(began) != 0 {
					t.Errorf("%v after %s, want it after %s", err, took, tt.took)
				}
			})
		})
	}
}

// TestLostLines: what the kubelet rotates away while nobody reads comes to no reader.
func TestLostLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := New(t, "ci")
		cluster.Run = func(life *Life) {
			life.Start("job")
			life.Print("job", "one")
			life.Wait(time.Second)
			life.Lose("job", "two", "three")
			life.Print("job", "four")
			life.Exit("job", 0)
		}
		client := cluster.Client(t, nil)
		if _, err := client.CreatePod(t.Context(), aPod()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		var read strings.Builder
		holes := 0
		err := client.Follow(t.Context(), "p", "job", func(chunk []byte) error {
			if chunk == nil {
				holes++
			}
			read.Write(chunk)
			return nil
		})
		if err != nil || read.String() != "one\nfour\n" || holes != 1 {
			t.Errorf("read %q with %d holes, %v", read.String(), holes, err)
		}
	})
}

// TestKinds: each kind of fault fails a call.
func TestKinds(t *testing.T) {
	for name, fault := range Kinds() {
		synctest.Test(t, func(t *testing.T) {
			client := New(t, "ci", aPod()).Client(t, Always("get pods", fault))
			if _, err := client.Pod(t.Context(), "p"); err == nil {
				t.Errorf("%s: the call went well", name)
			}
		})
	}
}

// TestPutNothing: a reference that is none is the test's own mistake.
func TestPutNothing(t *testing.T) {
	defer func() {
		if said, ok := recover().(string); !ok || !strings.HasPrefix(said, "put a b: ") {
			t.Errorf("panic: %v", said)
		}
	}()
	NewRegistry().Put("a b", Image{})
}
