package harness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// A Sighting is one state of a pod and when it was seen here.
type Sighting struct {
	At   time.Time
	Type watch.EventType
	Pod  *corev1.Pod
}

// An Observer records every state of every pod of a namespace. It is safe for
// concurrent use.
type Observer struct {
	mu        sync.Mutex
	sightings []Sighting
	more      chan struct{} // closed with the next sighting
	watch     watch.Interface
	done      chan struct{}
}

// Observe starts to record; the caller stops it.
func (c *Cluster) Observe(ctx context.Context, namespace string) (*Observer, error) {
	w, err := c.Kube.CoreV1().Pods(namespace).Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("watch pods: %w", err)
	}
	return newObserver(w), nil
}

func newObserver(w watch.Interface) *Observer {
	o := &Observer{watch: w, more: make(chan struct{}), done: make(chan struct{})}
	go o.record()
	return o
}

func (o *Observer) record() {
	defer close(o.done)
	for e := range o.watch.ResultChan() {
		if pod, ok := e.Object.(*corev1.Pod); ok {
			o.mu.Lock()
			o.sightings = append(o.sightings, Sighting{At: time.Now(), Type: e.Type, Pod: pod})
			close(o.more)
			o.more = make(chan struct{})
			o.mu.Unlock()
		}
	}
}

// Stop ends the recording. It may be called more than once.
func (o *Observer) Stop() {
	o.watch.Stop()
	<-o.done
}

// Sightings returns what was seen so far, oldest first.
func (o *Observer) Sightings() []Sighting {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.sightings)
}

// Of returns the states of the last pod that has a container of that name and the marker
// in its specification, oldest first.
func (o *Observer) Of(container, marker string) []Sighting {
	var states []Sighting
	for _, s := range o.Sightings() {
		if !HasContainer(s.Pod, container) {
			continue
		}
		spec, err := json.Marshal(s.Pod.Spec)
		if err != nil || !strings.Contains(string(spec), marker) {
			continue
		}
		if len(states) > 0 && states[0].Pod.UID != s.Pod.UID {
			states = nil
		}
		states = append(states, s)
	}
	return states
}

// Last returns the last state that [Observer.Of] has.
func (o *Observer) Last(container, marker string) (last Sighting, found bool) {
	states := o.Of(container, marker)
	if len(states) == 0 {
		return Sighting{}, false
	}
	return states[len(states)-1], true
}

// Await asks after each sighting, and once before, whether what was seen is enough. It
// returns an error when ctx ends or nothing is recorded any more.
func (o *Observer) Await(ctx context.Context, enough func() bool) error {
	for {
		o.mu.Lock()
		more := o.more
		o.mu.Unlock()
		if enough() {
			return nil
		}
		select {
		case <-more:
		case <-o.done:
			return errors.New("pods are no longer watched")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// With returns the last state seen of each pod that has a container of that
// name: "kaniko" for build pods, "job" for the pods of action Jobs.
func (o *Observer) With(container string) []*corev1.Pod {
	last := map[string]*corev1.Pod{}
	var names []string
	for _, s := range o.Sightings() {
		if !HasContainer(s.Pod, container) {
			continue
		}
		if last[s.Pod.Name] == nil {
			names = append(names, s.Pod.Name)
		}
		last[s.Pod.Name] = s.Pod
	}
	pods := make([]*corev1.Pod, 0, len(names))
	for _, name := range names {
		pods = append(pods, last[name])
	}
	return pods
}

// First returns when a pod with that container was first seen in a state, and
// whether it was.
func (o *Observer) First(container string, state func(*corev1.Pod) bool) (time.Time, bool) {
	for _, s := range o.Sightings() {
		if HasContainer(s.Pod, container) && state(s.Pod) {
			return s.At, true
		}
	}
	return time.Time{}, false
}

// Most returns how many pods with that container were there at the same time.
func (o *Observer) Most(container string) int {
	there := map[string]bool{}
	most := 0
	for _, s := range o.Sightings() {
		if !HasContainer(s.Pod, container) {
			continue
		}
		if s.Type == watch.Deleted {
			delete(there, s.Pod.Name)
		} else {
			there[s.Pod.Name] = true
		}
		most = max(most, len(there))
	}
	return most
}

// HasContainer says whether a pod has a main container of that name.
func HasContainer(pod *corev1.Pod, name string) bool {
	return slices.ContainsFunc(pod.Spec.Containers, func(c corev1.Container) bool { return c.Name == name })
}

// Container returns a pod's main container of that name, or an empty one.
func Container(pod *corev1.Pod, name string) corev1.Container {
	for _, c := range pod.Spec.Containers {
		if c.Name == name {
			return c
		}
	}
	return corev1.Container{}
}

// Running returns a state for [Observer.First]: the container runs or has run.
func Running(container string) func(*corev1.Pod) bool {
	return func(pod *corev1.Pod) bool {
		s, ok := containerStatus(pod, container)
		return ok && (s.State.Running != nil || s.State.Terminated != nil)
	}
}

// Terminated returns a state for [Observer.First]: the container has ended.
func Terminated(container string) func(*corev1.Pod) bool {
	return func(pod *corev1.Pod) bool {
		s, ok := containerStatus(pod, container)
		return ok && s.State.Terminated != nil
	}
}

func containerStatus(pod *corev1.Pod, name string) (corev1.ContainerStatus, bool) {
	for _, s := range pod.Status.ContainerStatuses {
		if s.Name == name {
			return s, true
		}
	}
	return corev1.ContainerStatus{}, false
}

// Dump writes what helps to understand a failure: the namespace's pods and
// events, and the daemon's log. What cannot be had is left out.
func (c *Cluster) Dump(ctx context.Context, namespace string, w io.Writer) {
	fmt.Fprintf(w, "--- namespace %s\n", namespace)
	pods, err := c.Kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		fmt.Fprintf(w, "list pods: %v\n", err)
		return
	}
	for _, pod := range pods.Items {
		fmt.Fprintf(w, "pod %s: %s%s\n", pod.Name, pod.Status.Phase, containerStates(pod))
		if pod.DeletionTimestamp != nil {
			fmt.Fprintf(w, "pod %s: to be deleted at %s, finalizers %v\n", pod.Name, pod.DeletionTimestamp, pod.Finalizers)
		}
	}
	events, err := c.Kube.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{})
	if err == nil {
		for _, e := range events.Items {
			fmt.Fprintf(w, "event %s/%s: %s: %s\n", e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Reason, e.Message)
		}
	}
	for _, pod := range pods.Items {
		for _, previous := range []bool{true, false} {
			options := &corev1.PodLogOptions{Container: DaemonContainer, Previous: previous}
			log, err := c.Kube.CoreV1().Pods(namespace).GetLogs(pod.Name, options).DoRaw(ctx)
			if err == nil {
				fmt.Fprintf(w, "--- log of the daemon in %s, previous: %v\n%s", pod.Name, previous, log)
			}
		}
	}
}

func containerStates(pod corev1.Pod) string {
	var b strings.Builder
	for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		switch {
		case s.State.Waiting != nil:
			fmt.Fprintf(&b, " %s=%s(%s)", s.Name, s.State.Waiting.Reason, s.State.Waiting.Message)
		case s.State.Terminated != nil:
			fmt.Fprintf(&b, " %s=exit %d %s", s.Name, s.State.Terminated.ExitCode, s.State.Terminated.Reason)
		default:
			fmt.Fprintf(&b, " %s=running", s.Name)
		}
	}
	return b.String()
}
