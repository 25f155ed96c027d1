package event

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kiln/internal/kube"
)

// timeout bounds the sending of one event.
const timeout = 5 * time.Second

// Reason is what an event says, in the CamelCase of Kubernetes.
type Reason string

// The reasons.
const (
	BuildStarted Reason = "KilnBuildStarted"
	ImageReused  Reason = "KilnImageReused"
	BuildFailed  Reason = "KilnBuildFailed"
)

// Pod is the pod that events are about.
type Pod struct{ Name, UID string }

// Recorder sends events. The nil Recorder sends none. It is safe for
// concurrent use.
type Recorder struct {
	kube      kube.Interface
	namespace string
	forbidden atomic.Bool
	sending   sync.WaitGroup
}

// NewRecorder returns a recorder for the pods of one namespace.
func NewRecorder(kube kube.Interface, namespace string) *Recorder {
	return &Recorder{kube: kube, namespace: namespace}
}

// Record sends an event about pod and does not wait for it.
func (r *Recorder) Record(pod Pod, reason Reason, message string) {
	if r == nil || r.forbidden.Load() {
		return
	}
	event := newEvent(r.namespace, pod, reason, message)
	r.sending.Go(func() { r.send(event) })
}

// Wait returns when what was recorded is sent or given up, within seconds.
func (r *Recorder) Wait() {
	if r != nil {
		r.sending.Wait()
	}
}

// send sends one event, once.
func (r *Recorder) send(event *corev1.Event) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	_, err := r.kube.Events(event.Namespace).Create(ctx, event, metav1.CreateOptions{})
	if apierrors.IsForbidden(err) {
		r.forbidden.Store(true)
	}
}

// newEvent is an event as `kubectl describe` shows it.
func newEvent(namespace string, pod Pod, reason Reason, message string) *corev1.Event {
	kind := corev1.EventTypeNormal
	if reason == BuildFailed {
		kind = corev1.EventTypeWarning
	}
	now := metav1.Now()
	return &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: namespace, GenerateName: "kiln-"},
		InvolvedObject: corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: namespace, Name: pod.Name, UID: types.UID(pod.UID)},
		Type:           kind,
		Reason:         string(reason),
		Message:        message,
		Source:         corev1.EventSource{Component: "kiln"},
		FirstTimestamp: now,
		LastTimestamp:  now,
		Count:          1,
	}
}
