package podrun

import (
	"context"
	"errors"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
)

// OnChange receives a pod's state, the first one included. It returns done to
// end the watch; an error ends it too and is returned as it is. It must not
// change the pod.
type OnChange func(pod *corev1.Pod) (done bool, err error)

// Watch calls onChange with the pod's present state and again after every
// change, one call at a time, until onChange is done, the pod is deleted
// (ErrGone, after a last call with its final state) or ctx ends. Several changes
// may arrive as one. Expired watches, lost connections and a restarting API
// server are survived: the state is read anew, with pauses growing to 5 seconds.
// A pod that was replaced by another of the same name is gone. A token that stays
// refused ends the watch. Callers that watch one pod at the same time share one
// watch: the first state of those that come later is the latest that it has seen.
func (c Client) Watch(ctx context.Context, pod string, onChange OnChange) error {
	watch := func(ctx context.Context, onChange OnChange) error {
		w := podWatch{
			client:   c,
			what:     call{"watch", "pods", pod},
			options:  metav1.ListOptions{FieldSelector: "metadata.name=" + pod},
			onChange: onChange,
		}
		return w.run(ctx)
	}
	if c.watches == nil {
		return watch(ctx, onChange)
	}
	return c.watches.share(ctx, pod, watch, onChange)
}

// WatchJobPod is Watch for the first pod of a Job, found by its label. A Job
// that has no pod yet is waited for; only a pod that was seen can be gone.
func (c Client) WatchJobPod(ctx context.Context, job string, onChange OnChange) error {
	w := podWatch{
		client:   c,
		what:     call{"watch", "pods", "of job " + job},
		options:  metav1.ListOptions{LabelSelector: batchv1.JobNameLabel + "=" + job},
		onChange: onChange,
		mayCome:  true,
	}
	return w.run(ctx)
}

// WaitGone returns when no pod of that name and UID exists any more. An empty
// uid stands for the pod that has the name now.
func (c Client) WaitGone(ctx context.Context, pod string, uid types.UID) error {
	err := c.Watch(ctx, pod, func(p *corev1.Pod) (bool, error) {
		return uid != "" && p.UID != uid, nil
	})
	if errors.Is(err, ErrGone) {
		return nil
	}
	return err
}

// podWatch is one Watch call: a loop of list, watch, and again.
type podWatch struct {
	client   Client
	what     call
	options  metav1.ListOptions
	onChange OnChange
	// mayCome: no pod at the start is no end.
	mayCome bool
	// uid pins the pod that was seen first.
	uid types.UID
	// refusedSince is when the API server began to take no token, and zero while it
	// takes it.
	refusedSince time.Time
}

// tokenPatience is how long a token may be refused before it counts as of no use: a
// server that is starting may refuse it for want of what it knows it by, and a client
// reads a new one from its file once a minute. The kubelet's next token, where the
// service account was made anew, takes up to an hour and is not waited for.
const tokenPatience = 90 * time.Second

// run repeats rounds until one is conclusive.
func (w *podWatch) run(ctx context.Context) error {
	pause := retries()
	for {
		began := time.Now()
		done, err := w.round(ctx)
		if done {
			return err
		}
		if time.Since(began) > retryCap {
			pause = retries()
		}
		if !sleep(ctx, pause.Step()) {
			return ended(ctx, w.client.refused(w.what, err))
		}
	}
}

// round lists, then watches until something ends the watch. With done, err is
// the outcome; else it is why another round is needed.
func (w *podWatch) round(ctx context.Context) (done bool, err error) {
	pods := w.client.Kube.Pods(w.client.Namespace)
	list, err := pods.List(ctx, w.options)
	if err != nil {
		return w.failed(call{"list", "pods", w.what.name}, err)
	}
	w.refusedSince = time.Time{}
	if done, err := w.listed(list.Items); done {
		return true, err
	}
	options := w.options
	options.ResourceVersion = list.ResourceVersion
	stream, err := pods.Watch(ctx, options)
	if err != nil {
		return w.failed(w.what, err)
	}
	defer stream.Stop()
	for event := range stream.ResultChan() {
		if done, err := w.event(event); done || err != nil {
			return done, err
		}
	}
	return false, nil
}

// failed sorts a failed request into final and worth repeating.
func (w *podWatch) failed(did call, err error) (done bool, _ error) {
	if final(err) || w.tokenGone(err) {
		return true, w.client.refused(did, err)
	}
	return false, err
}

// tokenGone reports whether the API server has refused the token for long enough.
func (w *podWatch) tokenGone(err error) bool {
	if !apierrors.IsUnauthorized(err) {
		return false
	}
	if w.refusedSince.IsZero() {
		w.refusedSince = time.Now()
	}
	return time.Since(w.refusedSince) >= tokenPatience
}

// listed handles the state at the beginning of a round.
func (w *podWatch) listed(pods []corev1.Pod) (done bool, err error) {
	for i := range pods {
		if w.uid == "" || pods[i].UID == w.uid {
			return w.changed(&pods[i])
		}
	}
	if w.uid == "" && w.mayCome {
		return false, nil
	}
	return true, w.gone()
}

// event handles one watch event. An error without done asks for a new round.
func (w *podWatch) event(event watch.Event) (done bool, err error) {
	if event.Type == watch.Error {
		return false, apierrors.FromObject(event.Object)
	}
	pod, ok := event.Object.(*corev1.Pod)
	if !ok || event.Type == watch.Bookmark {
		return false, nil
	}
	if w.uid != "" && pod.UID != w.uid {
		// A Job may get a second pod while the first is being removed; a name
		// is free only when its former holder is gone.
		if w.mayCome {
			return false, nil
		}
		return true, w.gone()
	}
	if done, err := w.changed(pod); done {
		return true, err
	}
	if event.Type == watch.Deleted {
		return true, w.gone()
	}
	return false, nil
}

// changed hands a state on. The result's done covers errors of the callback.
func (w *podWatch) changed(pod *corev1.Pod) (done bool, err error) {
	w.uid = pod.UID
	done, err = w.onChange(pod)
	return done || err != nil, err
}

func (w *podWatch) gone() error {
	return fmt.Errorf("watch pod %s/%s: %w", w.client.Namespace, w.what.name, ErrGone)
}

// retryCap is the longest pause between two tries.
const retryCap = 5 * time.Second

// retries returns the pauses between tries: 100 ms doubling to retryCap.
func retries() *wait.Backoff {
	return &wait.Backoff{Duration: 100 * time.Millisecond, Factor: 2, Jitter: 0.2, Steps: 1 << 30, Cap: retryCap}
}

// sleep pauses for d; it is false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// ended is the error of a wait that ctx cut short: the context's, with the
// trouble that kept the wait going, if any.
func ended(ctx context.Context, trouble error) error {
	if trouble == nil || errors.Is(trouble, ctx.Err()) {
		return ctx.Err()
	}
	return fmt.Errorf("%w while retrying: %w", ctx.Err(), trouble)
}
