package podtest

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

// defaultGrace is what a pod has that names none, in seconds.
const defaultGrace = 30

// Delete removes an object of that resource ("pods") at once, as somebody who forces
// it would.
func (c *Cluster) Delete(resource, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if found := c.objects[key{resource, name}]; found != nil {
		c.removeLocked(found)
	}
}

// deleteLocked is what a delete request does.
func (c *Cluster) deleteLocked(resource, name string, options metav1.DeleteOptions) error {
	found, err := c.getLocked(resource, name)
	if err != nil {
		return err
	}
	if only := options.Preconditions; only != nil {
		if err := unmet(found, only); err != nil {
			return apierrors.NewConflict(group(resource), name, err)
		}
	}
	pod, ok := found.(*corev1.Pod)
	if !ok {
		c.removeLocked(found)
		return nil
	}
	grace := int64(defaultGrace)
	if own := pod.Spec.TerminationGracePeriodSeconds; own != nil {
		grace = *own
	}
	if options.GracePeriodSeconds != nil {
		grace = *options.GracePeriodSeconds
	}
	c.terminateLocked(pod, grace)
	return nil
}

// unmet says which precondition does not hold.
func unmet(o object, only *metav1.Preconditions) error {
	if only.UID != nil && *only.UID != o.GetUID() {
		return fmt.Errorf("the UID in the precondition (%s) does not match the UID in record (%s)", *only.UID, o.GetUID())
	}
	if only.ResourceVersion != nil && *only.ResourceVersion != o.GetResourceVersion() {
		return fmt.Errorf("the ResourceVersion in the precondition (%s) does not match the ResourceVersion in record (%s)", *only.ResourceVersion, o.GetResourceVersion())
	}
	return nil
}

// terminateLocked deletes a pod with that many seconds of grace. A second deletion
// can only shorten it.
func (c *Cluster) terminateLocked(pod *corev1.Pod, grace int64) {
	life := c.lives[pod.UID]
	if grace == 0 || pod.Spec.NodeName == "" || life.idleLocked() {
		c.removeLocked(pod)
		return
	}
	at := metav1.NewTime(time.Now().Add(time.Duration(grace) * time.Second))
	if pod.DeletionTimestamp != nil && !at.Before(pod.DeletionTimestamp) {
		return
	}
	pod = pod.DeepCopy()
	pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = &at, &grace
	c.storeLocked(watch.Modified, pod)
	life.tellLocked()
	c.running.Go(func() { c.kill(life, time.Until(at.Time)) })
}

// kill removes the pod of a life when the life is over, or after that time.
func (c *Cluster) kill(life *Life, after time.Duration) {
	timer := time.NewTimer(after)
	defer timer.Stop()
	select {
	case <-life.over:
	case <-life.gone:
	case <-timer.C:
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	pod, ok := c.objects[key{"pods", life.name}].(*corev1.Pod)
	if !ok || pod.UID != life.uid {
		return
	}
	c.changeLocked(life.name, killContainers)
	c.removeLocked(c.objects[key{"pods", life.name}])
}

// killContainers ends what still runs as SIGKILL does.
func killContainers(pod *corev1.Pod) {
	for i := range pod.Status.ContainerStatuses {
		status := &pod.Status.ContainerStatuses[i]
		if status.State.Running != nil {
			terminate(status, End{Code: 137, Reason: "Error"})
		}
	}
	settle(pod)
}

// removeLocked takes an object out of the cluster, and what had it for its last
// owner with it.
func (c *Cluster) removeLocked(o object) {
	last := copyOf(o)
	c.storeLocked(watch.Deleted, last)
	if life := c.lives[o.GetUID()]; life != nil {
		life.tellLocked()
		life.goneLocked()
		delete(c.lives, o.GetUID())
		c.failLocked(last)
	}
	c.collectLocked(o.GetUID())
}

// Collect does what the garbage collector does once an owner is gone, be it of this
// cluster or not: the owner's entry goes from what it owns, and an object with the
// last of its owners.
func (c *Cluster) Collect(owner types.UID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.collectLocked(owner)
}

// collectLocked is Collect.
func (c *Cluster) collectLocked(owner types.UID) {
	isOwner := func(r metav1.OwnerReference) bool { return r.UID == owner }
	for _, resource := range []string{"pods", "jobs", "secrets"} {
		for _, o := range c.listLocked(resource, func(o object) bool { return slices.ContainsFunc(o.GetOwnerReferences(), isOwner) }) {
			left := slices.DeleteFunc(o.GetOwnerReferences(), isOwner)
			if len(left) > 0 {
				o.SetOwnerReferences(left)
				c.storeLocked(watch.Modified, o)
				continue
			}
			_ = c.deleteLocked(resource, o.GetName(), metav1.DeleteOptions{}) // it is there
		}
	}
}
