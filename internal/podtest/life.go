package podtest

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Node is where pods run that are started, and IP the address of each.
const (
	Node = "node-1"
	IP   = "10.0.0.7"
)

// Life is the hand of the kubelet on one pod. Its methods may be called from any
// goroutine; on a pod that is gone they do nothing.
type Life struct {
	cluster *Cluster
	name    string
	uid     types.UID
	pod     *corev1.Pod

	// deleted is closed when the pod shall end, gone when it is no more, and over
	// when its life has returned.
	deleted, gone, over chan struct{}
	told, left          bool
	inputs              map[string]*input
	logs                map[string]*logFile
}

// input is what was sent to a container.
type input struct {
	data []byte
	// attached says that somebody sends or has sent, and closed is closed when that
	// has ended.
	attached bool
	closed   chan struct{}
}

// liveLocked begins the life of a pod.
func (c *Cluster) liveLocked(pod *corev1.Pod) {
	life := &Life{
		cluster: c, name: pod.Name, uid: pod.UID, pod: pod.DeepCopy(),
		deleted: make(chan struct{}), gone: make(chan struct{}), over: make(chan struct{}),
		inputs: map[string]*input{}, logs: map[string]*logFile{},
	}
	c.lives[pod.UID] = life
	for _, container := range pod.Spec.Containers {
		life.inputs[container.Name] = &input{closed: make(chan struct{})}
		life.logs[container.Name] = &logFile{}
	}
	if c.Run == nil || c.ended {
		return
	}
	c.running.Go(func() {
		defer close(life.over)
		c.Run(life)
	})
}

// tellLocked closes deleted.
func (l *Life) tellLocked() {
	if !l.told {
		l.told = true
		close(l.deleted)
	}
}

// goneLocked closes gone.
func (l *Life) goneLocked() {
	if !l.left {
		l.left = true
		close(l.gone)
	}
}

// idleLocked reports whether nothing of the pod runs.
func (l *Life) idleLocked() bool {
	pod, ok := l.cluster.objects[key{"pods", l.name}].(*corev1.Pod)
	runs := func(s corev1.ContainerStatus) bool { return s.State.Running != nil }
	return ok && len(pod.Status.ContainerStatuses) > 0 && !slices.ContainsFunc(pod.Status.ContainerStatuses, runs) && pod.Status.Phase != corev1.PodPending
}

// Pod is the pod as it was created, not to be changed.
func (l *Life) Pod() *corev1.Pod { return l.pod }

// Deleted is closed when the pod shall end, or is gone already.
func (l *Life) Deleted() <-chan struct{} { return l.deleted }

// Gone is closed when the pod is no more.
func (l *Life) Gone() <-chan struct{} { return l.gone }

// Delete has somebody delete the pod with that many seconds of grace.
func (l *Life) Delete(grace int64) {
	l.cluster.mu.Lock()
	defer l.cluster.mu.Unlock()
	if pod, ok := l.cluster.objects[key{"pods", l.name}].(*corev1.Pod); ok && !l.left {
		l.cluster.terminateLocked(pod, grace)
	}
}

// Remove takes the pod out of the cluster, as the loss of its node does.
func (l *Life) Remove() { l.Delete(0) }

// Wait sleeps for d and reports whether the pod may go on after that.
func (l *Life) Wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.deleted:
		return false
	}
}

// Change alters the pod.
func (l *Life) Change(alter func(*corev1.Pod)) {
	l.cluster.mu.Lock()
	defer l.cluster.mu.Unlock()
	if !l.left {
		l.cluster.changeLocked(l.name, alter)
	}
}

// Schedule gives the pod to the node, where its containers wait to be made.
func (l *Life) Schedule() {
	l.Change(schedule)
}

// schedule is Schedule of a pod.
func schedule(pod *corev1.Pod) {
	if pod.Spec.NodeName != "" {
		return
	}
	pod.Spec.NodeName = Node
	pod.Status.StartTime = new(metav1.Now())
	for _, container := range pod.Spec.Containers {
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: container.Name, Image: container.Image,
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}},
		})
	}
}

// status is that of a container of a pod that was scheduled.
func status(pod *corev1.Pod, container string) *corev1.ContainerStatus {
	for i := range pod.Status.ContainerStatuses {
		if pod.Status.ContainerStatuses[i].Name == container {
			return &pod.Status.ContainerStatuses[i]
		}
	}
	panic(fmt.Sprintf("the pod %s has no container %q", pod.Name, container))
}

// Start starts containers, on the node if the pod was not there yet.
func (l *Life) Start(containers ...string) {
	l.Change(func(pod *corev1.Pod) {
		schedule(pod)
		pod.Status.PodIP = cmp.Or(pod.Status.PodIP, IP)
		for _, container := range containers {
			of := status(pod, container)
			of.ContainerID = "containerd://" + container
			of.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}}
		}
		settle(pod)
	})
}

// Waits says why a container of the pod does not start.
func (l *Life) Waits(container, reason, message string) {
	l.Change(func(pod *corev1.Pod) {
		schedule(pod)
		status(pod, container).State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
	})
}

// End is how a container ended.
type End struct {
	Code    int32
	Reason  string // "Completed" and "Error" where it is empty
	Message string
}

// Exit ends a container with that code.
func (l *Life) Exit(container string, code int32) { l.End(container, End{Code: code}) }

// End ends a container, and the pod with its last.
func (l *Life) End(container string, how End) {
	l.Change(func(pod *corev1.Pod) {
		schedule(pod)
		terminate(status(pod, container), how)
		settle(pod)
	})
}

// terminate puts a container into its end.
func terminate(of *corev1.ContainerStatus, how End) {
	end := &corev1.ContainerStateTerminated{
		ExitCode: how.Code, Reason: how.Reason, Message: how.Message,
		ContainerID: of.ContainerID, FinishedAt: metav1.Now(),
	}
	if end.Reason == "" {
		end.Reason = "Completed"
		if how.Code != 0 {
			end.Reason = "Error"
		}
	}
	if running := of.State.Running; running != nil {
		end.StartedAt = running.StartedAt
	}
	of.State = corev1.ContainerState{Terminated: end}
}

// settle sets the phase that follows from the containers of a pod that is not
// restarted.
func settle(pod *corev1.Pod) {
	phase := corev1.PodSucceeded
	for i := range pod.Status.ContainerStatuses {
		switch state := pod.Status.ContainerStatuses[i].State; {
		case state.Running != nil:
			pod.Status.Phase = corev1.PodRunning
			return
		case state.Terminated == nil:
			return
		case state.Terminated.ExitCode != 0:
			phase = corev1.PodFailed
		}
	}
	pod.Status.Phase = phase
}

// Input waits for what is sent to a container until the sender is done, and returns
// it: all of it, or what had come when the sender's connection broke, which the
// container cannot tell. It reports false where the pod ends before.
func (l *Life) Input(container string) ([]byte, bool) {
	l.cluster.mu.Lock()
	in := l.inputs[container]
	l.cluster.mu.Unlock()
	select {
	case <-in.closed:
	case <-l.deleted:
		return nil, false
	}
	l.cluster.mu.Lock()
	defer l.cluster.mu.Unlock()
	return bytes.Clone(in.data), true
}

// Event tells of the pod, as the kubelet and the scheduler do.
func (l *Life) Event(reason, message string) {
	l.cluster.Event("Pod", l.name, reason, message)
}

// Event records an event about the object of that kind and name.
func (c *Cluster) Event(kind, name, reason, message string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.uids++
	now := metav1.Now()
	_ = c.addLocked(&corev1.Event{ // its name is new
		ObjectMeta:     metav1.ObjectMeta{Name: name + "." + strconv.Itoa(c.uids)},
		InvolvedObject: corev1.ObjectReference{Kind: kind, Name: name, Namespace: c.Namespace},
		Reason:         reason, Message: message, FirstTimestamp: now, LastTimestamp: now,
	})
}
