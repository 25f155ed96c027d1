package servicerun

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"kiln/internal/failure"
	"kiln/internal/podrun"
	"kiln/internal/podwait"
	"kiln/internal/service"
	"kiln/internal/steplog"
)

// readiness is the wait for a job's services. Its fields belong to the goroutine of
// its method run.
type readiness struct {
	b        *begun
	pods     []*servicePod
	began    time.Time
	deadline *time.Timer
	told     bool // which services are waited for
	// until is what is waited for of pods; nil waits for the services in them.
	until func(*corev1.Pod) bool
}

// servicePod is one pod with services.
type servicePod struct {
	name     string
	services []*planned
	why      *podwait.Wait
	pod      *corev1.Pod // the latest state; nil before the first
	phases   map[*planned]service.Phase
}

// podChange is a new state of a pod, or the end of its watch.
type podChange struct {
	of  *servicePod
	pod *corev1.Pod
	err error
}

// await waits until every service is ready, or over without a health check. An error
// names the service, whose log was printed.
func (b *begun) await(ctx context.Context) error { return b.readiness(b.list).run(ctx) }

// wait waits until that holds of the pods of services, whose addresses are known then.
func (b *begun) wait(ctx context.Context, of []*planned, until func(*corev1.Pod) bool) error {
	if len(of) == 0 {
		return nil
	}
	w := b.readiness(of)
	w.until = until
	return w.run(ctx)
}

// readiness begins a wait.
func (b *begun) readiness(of []*planned) *readiness {
	w := &readiness{b: b, began: time.Now(), deadline: time.NewTimer(b.runner.options.PendingTimeout)}
	for _, s := range of {
		w.add(s)
	}
	return w
}

// add notes the pod of a service.
func (w *readiness) add(s *planned) {
	at := slices.IndexFunc(w.pods, func(p *servicePod) bool { return p.name == s.pod })
	if at < 0 {
		pods := w.b.runner.options.Pods
		why := podwait.Begin(w.b.of.Call.Log, pods, podwait.Wait{Kind: "Pod", Name: s.pod, Image: failure.ActionImagePull})
		at, w.pods = len(w.pods), append(w.pods, &servicePod{name: s.pod, why: why, phases: map[*planned]service.Phase{}})
	}
	w.pods[at].services = append(w.pods[at].services, s)
}

// run handles what happens to the pods.
func (w *readiness) run(ctx context.Context) error {
	defer w.deadline.Stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changes := make(chan podChange)
	for _, pod := range w.pods {
		go w.watch(ctx, pod, changes)
	}
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case change := <-changes:
			if change.err != nil {
				return cmp.Or(context.Cause(ctx), podwait.Lost("pod of the job's services", change.err)) // the watch ends with ctx too
			}
			change.of.pod = change.pod
		case <-w.deadline.C:
			if err := w.late(); err != nil {
				return err
			}
		case <-ticker.C:
			if err := w.explain(ctx); err != nil {
				return err
			}
		}
		if done, err := w.look(ctx); done || err != nil {
			return err
		}
	}
}

// watch sends the states of a pod until ctx ends.
func (w *readiness) watch(ctx context.Context, of *servicePod, changes chan<- podChange) {
	send := func(change podChange) error {
		select {
		case changes <- change:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	err := w.b.runner.options.Pods.Watch(ctx, of.name, func(pod *corev1.Pod) (bool, error) {
		return false, send(podChange{of: of, pod: pod})
	})
	_ = send(podChange{of: of, err: err})
}

// look asks each service how far it is. done is that none is waited for any more.
func (w *readiness) look(ctx context.Context) (done bool, err error) {
	done = true
	for _, pod := range w.pods {
		if pod.pod == nil {
			done = false
			continue
		}
		if reason, failed := podrun.Failed(pod.pod); failed {
			return false, failure.New(podrun.Cause(pod.pod), "the pod of the services %s was ended by the cluster: %s", names(pod.services), reason)
		}
		over, err := w.lookIn(ctx, pod)
		if err != nil {
			return false, err
		}
		done = done && over
	}
	return done, nil
}

// lookIn asks the services of a pod that was seen. over is that none of them is waited
// for.
func (w *readiness) lookIn(ctx context.Context, pod *servicePod) (over bool, err error) {
	told, err := knows(pod.pod)
	if err != nil {
		return false, err
	}
	over = told || w.until != nil
	for _, s := range pod.services {
		s.ip = pod.pod.Status.PodIP
		if w.until != nil {
			over = w.until(pod.pod)
			continue
		}
		ready, err := w.lookAt(ctx, pod, s)
		if err != nil {
			return false, err
		}
		over = over && ready
	}
	return over, nil
}

// lookAt tells of a service what is new; over is that it is not waited for.
func (w *readiness) lookAt(ctx context.Context, pod *servicePod, s *planned) (over bool, err error) {
	// As on hosted runners a service has to be healthy once, while others still start.
	if _, ended := podrun.Terminated(pod.pod, s.Named.Container); pod.phases[s] == service.Ready && !ended {
		return true, nil
	}
	state := service.StateOf(pod.pod, s.Named.Container, s.check, time.Now())
	over = state.Phase == service.Ready || state.Phase == service.Ended
	if state.Phase == pod.phases[s] {
		return over, nil
	}
	pod.phases[s] = state.Phase
	log := w.b.of.Call.Log
	switch state.Phase {
	case service.Ready:
		log.Once("ready "+s.Title, fmt.Sprintf("kiln: the service %s is ready (%s)", s.Title, steplog.Elapsed(w.began)))
	case service.Ended:
		w.b.showLog(ctx, s)
		log.Line("::warning::kiln: the service %s does not run any more: %s", s.Title, state.Reason)
	case service.Failed:
		w.b.showLog(ctx, s)
		return false, failure.New(failure.ActionFailed, "the service %s (%s) failed: %s", s.Title, s.Service.Container.Image, state.Reason)
	}
	return over, nil
}

// sayAfter is how long a wait is worth no line.
const sayAfter = 3 * time.Second

// explain says for what the job waits, and why a pod does not start.
func (w *readiness) explain(ctx context.Context) error {
	var waiting []*planned
	for _, pod := range w.pods {
		for _, s := range pod.services {
			switch pod.phases[s] {
			case service.Waiting:
				if err := pod.why.Look(ctx, pod.pod); err != nil {
					return err
				}
			case service.Starting:
				waiting = append(waiting, s)
			}
		}
	}
	if len(waiting) == 0 || time.Since(w.began) < sayAfter {
		return nil
	}
	doing := func() string {
		return "waiting for the health checks of " + names(waiting) + ", " + steplog.Elapsed(w.began)
	}
	if !w.told {
		w.told = true
		w.b.of.Call.Log.Once("waiting for health", "kiln: "+doing())
	}
	w.b.of.Call.Log.Beat(doing)
	return nil
}

// late is the error of a service that has not started in time. How long health may
// take is the author's to say.
func (w *readiness) late() error {
	for _, pod := range w.pods {
		for _, s := range pod.services {
			if pod.phases[s] == service.Waiting {
				return pod.why.Late("the service "+s.Title, w.b.runner.options.PendingTimeout)
			}
		}
	}
	return nil
}
