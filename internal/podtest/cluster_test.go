package podtest

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"kiln/internal/failure"
	"kiln/internal/podrun"
)

// aPod is a pod with one container "job" and those owners.
func aPod(owners ...types.UID) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p", Labels: map[string]string{"role": "build"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "job", Image: "image", Stdin: true, StdinOnce: true}}},
	}
	for _, owner := range owners {
		pod.OwnerReferences = append(pod.OwnerReferences, owned(owner))
	}
	return pod
}

// owned is the reference of an owner.
func owned(by types.UID) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: "v1", Kind: "Pod", Name: "runner-" + string(by), UID: by}
}

// ownersOf lists the owners of the pod "p", and "gone" where there is none.
func ownersOf(c *Cluster) string {
	pod := c.Pod("p")
	if pod == nil {
		return "gone"
	}
	var owners []string
	for _, owner := range pod.OwnerReferences {
		owners = append(owners, string(owner.UID))
	}
	slices.Sort(owners)
	return strings.Join(owners, " ")
}

// TestLife has a pod live from its creation to its end, and a client follow it.
func TestLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := New(t, "ci")
		cluster.Run = func(life *Life) {
			life.Wait(time.Second)
			life.Schedule()
			life.Wait(3 * time.Second)
			life.Start("job")
			input, _ := life.Input("job")
			life.Print("job", "read "+string(input))
			life.Wait(time.Second)
			life.Write("job", "half ")
			life.CutLog("job")
			life.Wait(time.Second)
			life.Write("job", "a line")
			life.Exit("job", 3)
		}
		client := cluster.Client(t, nil)
		if _, err := client.CreatePod(t.Context(), aPod("me")); err != nil {
			t.Fatal(err)
		}
		var log strings.Builder
		read := make(chan error, 1)
		go func() {
			read <- client.Follow(t.Context(), "p", "job", func(line []byte) error { log.Write(line); return nil })
		}()
		var phases []string
		err := client.Watch(t.Context(), "p", func(pod *corev1.Pod) (bool, error) {
			phases = append(phases, string(pod.Status.Phase)+"/"+pod.Spec.NodeName)
			if podrun.Running(pod, "job") {
				if err := client.Attach(t.Context(), "p", "job", strings.NewReader("input")); err != nil {
					t.Error(err)
				}
			}
			end, over := podrun.Terminated(pod, "job")
			if over && end.ExitCode != 3 {
				t.Errorf("exit code %d", end.ExitCode)
			}
			return over, nil
		})
		if err := errors.Join(err, <-read); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"Pending/", "Pending/node-1", "Running/node-1", "Failed/node-1"}, slices.Compact(phases)); diff != "" {
			t.Errorf("phases (-want +got):\n%s", diff)
		}
		if got, want := log.String(), "read input\nhalf a line"; got != want {
			t.Errorf("log %q, want %q", got, want)
		}
	})
}

// TestFaultsOfACreation has each fault, and looks at what the client makes of it and at
// what there is afterwards.
func TestFaultsOfACreation(t *testing.T) {
	for name, tt := range map[string]struct {
		fault   Fault
		reason  failure.Reason // "" for none
		refused bool
		made    bool
	}{
		"none":              {Fault{}, "", false, true},
		"forbidden":         {Forbidden("create", "pods"), failure.AdmissionRefused, true, false},
		"a full quota":      {Fault{Err: QuotaFull("p", 3)}, failure.AdmissionRefused, true, false},
		"lost":              {Lost(), failure.ClusterUnreachable, false, false},
		"no answer":         {Unanswered(), failure.ClusterUnreachable, false, true},
		"timed out":         {TimedOut(), failure.ClusterUnreachable, false, false},
		"timed out, made":   {Fault{Silent: true, Happened: true}, failure.ClusterUnreachable, false, true},
		"the server failed": {Failing(false), failure.ClusterUnreachable, false, false},
		"failed, but made":  {Failing(true), failure.ClusterUnreachable, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cluster := New(t, "ci")
				client := cluster.Client(t, Once("create pods", tt.fault))
				_, err := client.CreatePod(t.Context(), aPod("me"))
				if failure.Of(err) != tt.reason || podrun.Refused(err) != tt.refused {
					t.Errorf("error %v is %q, refused %t; want %q, %t", err, failure.Of(err), podrun.Refused(err), tt.reason, tt.refused)
				}
				if made := cluster.Pod("p") != nil; made != tt.made {
					t.Errorf("made: %t", made)
				}
				_, err = client.CreatePod(t.Context(), aPod("me")) // the fault was of one call
				if apierrors.IsAlreadyExists(err) != tt.made || err != nil && !tt.made {
					t.Errorf("the second time: %v", err)
				}
			})
		})
	}
}

// TestCallsAreNamed looks at what call-backs are told.
func TestCallsAreNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := New(t, "ci")
		var calls []string
		client := cluster.Client(t, func(call Call) Fault {
			calls = append(calls, fmt.Sprintf("%s %s %d", call.Op, call.Name, call.Count))
			return Fault{}
		})
		ctx := t.Context()
		_, _ = client.CreatePod(ctx, aPod())
		_, _ = client.CreatePod(ctx, aPod())
		_, _ = client.Admitted(ctx, aPod())
		_, _ = client.Pod(ctx, "p")
		_, _ = client.PodsWith(ctx, "role", "build")
		brief, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_ = client.Watch(brief, "p", func(*corev1.Pod) (bool, error) { return false, nil })
		client.Events(ctx, "Pod", "p")
		_ = client.AddOwner(ctx, "p", "uid-1", owned("me"))
		_ = client.Delete(ctx, "p", 0, nil)
		_, _ = client.CreateJob(ctx, &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "j"}, Spec: batchv1.JobSpec{Parallelism: new(int32(0))}})
		want := []string{
			"create pods p 1", "create pods p 2", "try pods p 1", "get pods p 1", "list pods build 1", "list pods p 2", "watch pods p 1",
			"list events p 1", "patch pods p 1", "delete pods p 1", "create jobs j 1",
		}
		if diff := cmp.Diff(want, calls); diff != "" {
			t.Errorf("calls (-want +got):\n%s", diff)
		}
		if got := client.Calls("create pods"); got != 2 {
			t.Errorf("%d creations were counted", got)
		}
	})
}

// TestDeletion deletes pods in each state with and without grace.
func TestDeletion(t *testing.T) {
	for name, tt := range map[string]struct {
		state func(*Life)
		grace int64
		want  time.Duration
		code  int32 // of the container in the last state
	}{
		"never scheduled": {func(*Life) {}, 5, 0, -1},
		"without grace":   {func(l *Life) { l.Start("job") }, 0, 0, -1},
		"its containers end": {func(l *Life) {
			l.Start("job")
			<-l.Deleted()
			l.Wait(time.Second)
			time.Sleep(time.Second)
			l.Exit("job", 143)
		}, 5, time.Second, 143},
		"killed after it": {func(l *Life) { l.Start("job"); <-l.gone }, 5, 5 * time.Second, 137},
		"over":            {func(l *Life) { l.Start("job"); l.Exit("job", 0) }, 5, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cluster := New(t, "ci")
				cluster.Run = tt.state
				client := cluster.Client(t, nil)
				if _, err := client.CreatePod(t.Context(), aPod()); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				code := int32(-1)
				watched := make(chan error, 1)
				go func() {
					watched <- client.Watch(t.Context(), "p", func(pod *corev1.Pod) (bool, error) {
						if end, over := podrun.Terminated(pod, "job"); over {
							code = end.ExitCode
						}
						return false, nil
					})
				}()
				synctest.Wait()
				began := time.Now()
				if err := client.Delete(t.Context(), "p", tt.grace, nil); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if tt.want > 0 {
					if pod := cluster.Pod("p"); pod == nil || pod.DeletionTimestamp == nil {
						t.Fatalf("the pod is not being deleted, but %v", pod)
					}
					if _, err := client.CreatePod(t.Context(), aPod()); !apierrors.IsAlreadyExists(err) {
						t.Errorf("the name is free while its holder is being deleted: %v", err)
					}
				}
				if err := <-watched; !errors.Is(err, podrun.ErrGone) {
					t.Errorf("the watch ended with %v", err)
				}
				if took := time.Since(began); took != tt.want || code != tt.code {
					t.Errorf("gone after %v with exit code %d, want %v and %d", took, code, tt.want, tt.code)
				}
			})
		})
	}
}

// TestPreconditions deletes with what holds and what does not.
func TestPreconditions(t *testing.T) {
	cluster := New(t, "ci", aPod("me"))
	client := cluster.Client(t, nil)
	pod, ctx := cluster.Pod("p"), t.Context()
	if err := client.Delete(ctx, "p", 0, &metav1.Preconditions{UID: new(types.UID("other"))}); err != nil || cluster.Pod("p") == nil {
		t.Errorf("another UID: %v, left %v", err, cluster.Names())
	}
	err := client.Delete(ctx, "p", 0, &metav1.Preconditions{UID: &pod.UID, ResourceVersion: new("0")})
	if !apierrors.IsConflict(err) || cluster.Pod("p") == nil {
		t.Errorf("another version: %v, left %v", err, cluster.Names())
	}
	if err := client.Delete(ctx, "p", 0, &metav1.Preconditions{UID: &pod.UID, ResourceVersion: &pod.ResourceVersion}); err != nil || cluster.Pod("p") != nil {
		t.Errorf("what holds: %v, left %v", err, cluster.Names())
	}
}

// TestOwners adds owners, releases and collects them.
func TestOwners(t *testing.T) {
	for name, tt := range map[string]struct {
		owners []types.UID
		change func(context.Context, *Cluster, Client) error
		want   string
	}{
		"added": {[]types.UID{"a"}, func(ctx context.Context, _ *Cluster, c Client) error {
			return c.AddOwner(ctx, "p", "uid-1", owned("b"))
		}, "a b"},
		"added twice": {[]types.UID{"a"}, func(ctx context.Context, _ *Cluster, c Client) error {
			return c.AddOwner(ctx, "p", "uid-1", owned("a"))
		}, "a"},
		"released":       {[]types.UID{"a", "b"}, func(ctx context.Context, _ *Cluster, c Client) error { return c.Release(ctx, "p", "uid-1", "a") }, "b"},
		"the last":       {[]types.UID{"a"}, func(ctx context.Context, _ *Cluster, c Client) error { return c.Release(ctx, "p", "uid-1", "a") }, "gone"},
		"another's":      {[]types.UID{"a"}, func(ctx context.Context, _ *Cluster, c Client) error { return c.Release(ctx, "p", "uid-1", "b") }, "a"},
		"collected":      {[]types.UID{"a", "b"}, func(_ context.Context, c *Cluster, _ Client) error { c.Collect("a"); return nil }, "b"},
		"collected last": {[]types.UID{"a"}, func(_ context.Context, c *Cluster, _ Client) error { c.Collect("a"); return nil }, "gone"},
		"of another pod": {[]types.UID{"a"}, func(ctx context.Context, _ *Cluster, c Client) error {
			if err := c.AddOwner(ctx, "p", "other", owned("b")); !errors.Is(err, podrun.ErrGone) {
				return fmt.Errorf("error = %w, want ErrGone", err)
			}
			return nil
		}, "a"},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := New(t, "ci", aPod(tt.owners...))
			if err := tt.change(t.Context(), cluster, cluster.Client(t, nil)); err != nil {
				t.Error(err)
			}
			if got := ownersOf(cluster); got != tt.want {
				t.Errorf("owners %q, want %q", got, tt.want)
			}
		})
	}
}

// TestWatchesExpire loses the changes that a watch has not seen.
func TestWatchesExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := New(t, "ci", aPod())
		client := cluster.Client(t, nil)
		var seen []string
		watched := make(chan error, 1)
		go func() {
			watched <- client.Watch(t.Context(), "p", func(pod *corev1.Pod) (bool, error) {
				seen = append(seen, pod.Status.Message)
				return pod.Status.Message == "last", nil
			})
		}()
		synctest.Wait()
		cluster.ExpireWatches()
		say := func(message string) { cluster.Change("p", func(pod *corev1.Pod) { pod.Status.Message = message }) }
		say("unseen")
		say("last")
		if err := <-watched; err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff([]string{"", "last"}, seen); diff != "" {
			t.Errorf("states (-want +got):\n%s", diff)
		}
		if got := client.Calls("list pods"); got != 2 {
			t.Errorf("the watch listed %d times, want 2", got)
		}
	})
}

// TestReplacedPodIsGone gives the name of a pod to another while nobody looks.
func TestReplacedPodIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := New(t, "ci", aPod())
		watched := make(chan error, 1)
		go func() {
			watched <- cluster.Client(t, nil).Watch(t.Context(), "p", func(*corev1.Pod) (bool, error) { return false, nil })
		}()
		synctest.Wait()
		cluster.ExpireWatches()
		cluster.Delete("pods", "p")
		if err := cluster.Add(aPod()); err != nil {
			t.Fatal(err)
		}
		if err := <-watched; !errors.Is(err, podrun.ErrGone) {
			t.Errorf("error = %v", err)
		}
	})
}

// TestLogsAreCut breaks the first stream of a log off at each of its bytes: what is
// read is the log all the same.
func TestLogsAreCut(t *testing.T) {
	const log = "one\ntwo\ntwo\nthree"
	for cut := range int64(150) {
		synctest.Test(t, func(t *testing.T) {
			cluster := New(t, "ci")
			cluster.Run = func(life *Life) {
				life.Start("job")
				for _, piece := range strings.SplitAfter(log, "o") {
					life.Write("job", piece)
					life.Wait(300 * time.Millisecond)
				}
				life.Exit("job", 0)
			}
			client := cluster.Client(t, Once("get pods/log", Fault{Cut: cut}))
			if _, err := client.CreatePod(t.Context(), aPod()); err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			err := client.Follow(t.Context(), "p", "job", func(line []byte) error { got.Write(line); return nil })
			if err != nil || got.String() != log {
				t.Errorf("cut after %d: %q, %v", cut, got.String(), err)
			}
		})
	}
}

// TestJobs makes the pods of Jobs, or says why not.
func TestJobs(t *testing.T) {
	job := func(parallelism int32) *batchv1.Job {
		return &batchv1.Job{
			ObjectMeta: metav1.ObjectMeta{Name: "j", Labels: map[string]string{"mine": "yes"}},
			Spec:       batchv1.JobSpec{Parallelism: &parallelism, Template: corev1.PodTemplateSpec{Spec: aPod().Spec}},
		}
	}
	t.Run("a pod", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			cluster := New(t, "ci")
			cluster.Run = func(life *Life) { life.Start("job"); <-life.Deleted(); life.Exit("job", 143) }
			client := cluster.Client(t, nil)
			made, err := client.CreateJob(t.Context(), job(1))
			if err != nil {
				t.Fatal(err)
			}
			err = client.WatchJobPod(t.Context(), "j", func(pod *corev1.Pod) (bool, error) {
				if owner := metav1.GetControllerOf(pod); owner == nil || owner.UID != made.UID {
					t.Errorf("the pod's controller is %v", owner)
				}
				return podrun.Running(pod, "job"), nil
			})
			if err != nil {
				t.Error(err)
			}
			if err := client.DeleteJob(t.Context(), podrun.Object{Name: "j"}, podrun.Mark{Labels: map[string]string{"mine": "no"}}, 3); err != nil || len(cluster.Names()) != 2 {
				t.Errorf("somebody else's Job was deleted: %v, left %v", err, cluster.Names())
			}
			if err := client.DeleteJob(t.Context(), podrun.Object{Name: "j", UID: made.UID}, podrun.Mark{}, 3); err != nil {
				t.Error(err)
			}
			synctest.Wait()
			if got := cluster.Names(); len(got) > 0 {
				t.Errorf("left %v", got)
			}
		})
	})
	t.Run("refused", func(t *testing.T) {
		cluster := New(t, "ci")
		cluster.Admit = func(pod *corev1.Pod) error { return QuotaFull(pod.Name, 2) }
		client := cluster.Client(t, nil)
		if _, err := client.CreateJob(t.Context(), job(1)); err != nil {
			t.Fatal(err)
		}
		events := client.Events(t.Context(), "Job", "j")
		if len(events) != 1 || events[0].Reason != "FailedCreate" || !strings.Contains(events[0].Message, "exceeded quota") {
			t.Errorf("events %+v", events)
		}
		if other := client.Events(t.Context(), "Pod", "j"); len(other) > 0 {
			t.Errorf("events of another object: %+v", other)
		}
	})
	t.Run("none wanted", func(t *testing.T) {
		cluster := New(t, "ci")
		if _, err := cluster.Client(t, nil).CreateJob(t.Context(), job(0)); err != nil || len(cluster.Pods()) > 0 {
			t.Errorf("error = %v, pods %v", err, cluster.Pods())
		}
	})
}

// TestDryRun asks what would be stored.
func TestDryRun(t *testing.T) {
	cluster := New(t, "ci", aPod())
	cluster.Admit = func(pod *corev1.Pod) error { pod.Spec.ServiceAccountName = "admitted"; return nil }
	pod, err := cluster.Client(t, nil).Admitted(t.Context(), aPod())
	if err != nil || pod.Spec.ServiceAccountName != "admitted" || len(cluster.Pods()) != 1 {
		t.Errorf("pod %v, error %v, pods %d", pod, err, len(cluster.Pods()))
	}
}

// TestAttach sends to containers that can take it and to others.
func TestAttach(t *testing.T) {
	for name, tt := range map[string]struct {
		fault Fault
		start bool
		want  string // what the container gets; "none" where its input stays open
		err   string
	}{
		"all":               {Fault{}, true, "0123456789", ""},
		"not running":       {Fault{}, false, "none", "container job is not running"},
		"refused":           {Forbidden("create", "pods/attach"), true, "none", `cannot create resource "pods/attach"`},
		"cut":               {Fault{Cut: 4}, true, "0123", "connection lost after 4 bytes"},
		"lost at the end":   {Unanswered(), true, "0123456789", "connection lost after 10 bytes"},
		"hangs in between":  {Fault{Cut: 4, Silent: true}, true, "0123", "connection lost after 4 bytes: context deadline exceeded"},
		"hangs from before": {TimedOut(), true, "none", "context deadline exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got := "none"
				cluster := New(t, "ci")
				cluster.Run = func(life *Life) {
					if tt.start {
						life.Start("job")
					}
					if input, ok := life.Input("job"); ok {
						got = string(input)
					}
				}
				if err := cluster.Add(aPod()); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				client := cluster.Client(t, Once("attach pods", tt.fault))
				err := client.Attach(ctx, "p", "job", strings.NewReader("0123456789"))
				if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
					t.Errorf("error = %v, want %q", err, tt.err)
				}
				synctest.Wait()
				if got != tt.want {
					t.Errorf("the container got %q, want %q", got, tt.want)
				}
				if got != "none" {
					if err := client.Attach(ctx, "p", "job", strings.NewReader("again")); err == nil {
						t.Error("the container's input was opened twice")
					}
				}
			})
		})
	}
}

// TestKnock sends to a container before it runs, once it does, and after that.
func TestKnock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := make(chan string, 1)
		cluster := New(t, "ci")
		cluster.Run = func(life *Life) {
			life.Schedule()
			life.Wait(time.Second)
			life.Start("job")
			input, _ := life.Input("job")
			got <- string(input)
		}
		if err := cluster.Add(aPod()); err != nil {
			t.Fatal(err)
		}
		client := cluster.Client(t, nil)
		knock := func() error { return client.Knock(t.Context(), "p", "job", strings.NewReader("0123456789")) }
		synctest.Wait()
		if err := knock(); !errors.Is(err, podrun.ErrNotYet) {
			t.Errorf("before it runs: %v", err)
		}
		time.Sleep(2 * time.Second)
		if err := knock(); err != nil || <-got != "0123456789" {
			t.Errorf("once it runs: %v", err)
		}
		if err := knock(); !errors.Is(err, podrun.ErrNotYet) {
			t.Errorf("after that: %v", err)
		}
	})
}

// TestServed asks the cluster over the network, with the client's own settings.
func TestServed(t *testing.T) {
	cluster := New(t, "ci", aPod("a"))
	server := httptest.NewServer(cluster)
	defer server.Close()
	client, err := podrun.NewClient(&rest.Config{Host: server.URL}, "ci")
	if err != nil {
		t.Fatal(err)
	}
	release, err := client.Kube.ServerVersion()
	if err != nil || release != "v1.36.0" {
		t.Errorf("release %v, %v", release, err)
	}
	other := aPod("a")
	other.Name = "q"
	if _, err := client.CreatePod(t.Context(), other); err != nil {
		t.Error(err)
	}
	if err := client.AddOwner(t.Context(), "p", "uid-1", owned("b")); err != nil || ownersOf(cluster) != "a b" {
		t.Errorf("owners %s, %v", ownersOf(cluster), err)
	}
	if err := client.Delete(t.Context(), "q", 0, nil); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"pods/p"}, cluster.Names()); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
	if _, err := client.Kube.Nodes().Get(t.Context(), "n", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("what the cluster has not: %v", err)
	}
}
