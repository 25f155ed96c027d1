package podtest

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"kiln/internal/kube"
)

// object is what the cluster holds.
type object interface {
	metav1.Object
	runtime.Object
}

// key names an object.
type key struct{ resource, name string }

// Cluster is one namespace of a cluster. Its methods are safe for concurrent use;
// its fields are set before the first request. Objects that it takes and returns
// are copies.
type Cluster struct {
	// Namespace is the only one.
	Namespace string
	// Run is what happens in a pod, from its creation on; nil leaves pods pending.
	// It has a goroutine of its own for each pod and returns when the pod has ended,
	// or when [Life.Deleted] says that it shall.
	Run func(*Life)
	// Admit is what admission does to a pod that is created, dry runs included: it
	// may change the pod, or refuse it with the error that the API server would
	// answer, see [QuotaFull]. nil admits everything.
	Admit func(*corev1.Pod) error
	// Release is the API server's, "v1.36.0" where it is empty.
	Release string

	mux     http.Handler
	decoder runtime.Decoder

	mu      sync.Mutex
	objects map[key]object
	lives   map[types.UID]*Life
	version int
	uids    int
	changes []change
	expired int           // watches from an older version are
	wake    chan struct{} // closed at the next change
	ended   bool
	running sync.WaitGroup
}

// change is one event that a watch reports.
type change struct {
	version  int
	kind     watch.EventType
	resource string
	object   object
}

// New returns a cluster with those objects. At the end of the test its pods are
// removed and their lives waited for.
func New(t testing.TB, namespace string, objects ...runtime.Object) *Cluster {
	c := &Cluster{
		Namespace: namespace,
		decoder:   serializer.NewCodecFactory(kube.NewScheme()).UniversalDeserializer(),
		objects:   map[key]object{}, lives: map[types.UID]*Life{}, wake: make(chan struct{}),
	}
	c.mux = c.routes()
	for _, o := range objects {
		if err := c.Add(o); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(c.stop)
	return c
}

// stop ends all lives and waits for them.
func (c *Cluster) stop() {
	c.mu.Lock()
	c.ended = true
	for _, life := range c.lives {
		life.tellLocked()
		life.goneLocked()
	}
	c.mu.Unlock()
	c.running.Wait()
}

// resourceOf returns the resource of an object's type.
func resourceOf(o runtime.Object) string {
	switch o.(type) {
	case *corev1.Pod:
		return "pods"
	case *corev1.Secret:
		return "secrets"
	case *corev1.Event:
		return "events"
	case *batchv1.Job:
		return "jobs"
	}
	return ""
}

// kinds are those of the resources that there are.
func kinds() map[string]schema.GroupVersionKind {
	return map[string]schema.GroupVersionKind{
		"pods":    corev1.SchemeGroupVersion.WithKind("Pod"),
		"secrets": corev1.SchemeGroupVersion.WithKind("Secret"),
		"events":  corev1.SchemeGroupVersion.WithKind("Event"),
		"jobs":    batchv1.SchemeGroupVersion.WithKind("Job"),
	}
}

// group is what errors name a resource by.
func group(resource string) schema.GroupResource {
	return schema.GroupResource{Group: kinds()[resource].Group, Resource: resource}
}

// Add puts an object into the cluster as it is, without admission, and lets a pod
// live. It has a UID and a resource version afterwards, in the cluster.
func (c *Cluster) Add(o runtime.Object) error {
	added, ok := o.DeepCopyObject().(object)
	if !ok || resourceOf(o) == "" {
		return fmt.Errorf("add %T: the cluster has no such objects", o)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.addLocked(added)
}

// addLocked stores a new object.
func (c *Cluster) addLocked(o object) error {
	resource := resourceOf(o)
	k := key{resource, o.GetName()}
	if _, taken := c.objects[k]; taken {
		return apierrors.NewAlreadyExists(group(resource), o.GetName())
	}
	if o.GetUID() == "" {
		c.uids++
		o.SetUID(types.UID("uid-" + strconv.Itoa(c.uids)))
	}
	o.SetNamespace(c.Namespace)
	o.SetCreationTimestamp(metav1.Now())
	o.GetObjectKind().SetGroupVersionKind(kinds()[resource])
	c.storeLocked(watch.Added, o)
	switch o := o.(type) {
	case *corev1.Pod:
		c.liveLocked(o)
	case *batchv1.Job:
		return c.startLocked(o)
	}
	return nil
}

// storeLocked makes o the state of its object, with a new resource version, and
// wakes who waits for changes.
func (c *Cluster) storeLocked(kind watch.EventType, o object) {
	c.version++
	o.SetResourceVersion(strconv.Itoa(c.version))
	k := key{resourceOf(o), o.GetName()}
	if kind == watch.Deleted {
		delete(c.objects, k)
	} else {
		c.objects[k] = o
	}
	c.changes = append(c.changes, change{version: c.version, kind: kind, resource: k.resource, object: o})
	c.wakeLocked()
}

// wakeLocked wakes who waits for changes.
func (c *Cluster) wakeLocked() {
	close(c.wake)
	c.wake = make(chan struct{})
}

// copyOf is a copy of an object.
func copyOf[T object](o T) T {
	copied, _ := o.DeepCopyObject().(T) // of the same type
	return copied
}

// createLocked is what a create request does.
func (c *Cluster) createLocked(o object, dryRun bool) (object, error) {
	resource := resourceOf(o)
	c.uids++
	if o.GetName() == "" {
		o.SetName(o.GetGenerateName() + strconv.Itoa(c.uids))
	}
	o.SetUID(types.UID("uid-" + strconv.Itoa(c.uids)))
	o.SetResourceVersion("")
	if pod, ok := o.(*corev1.Pod); ok {
		pod.Status = corev1.PodStatus{Phase: corev1.PodPending}
		if c.Admit != nil {
			if err := c.Admit(pod); err != nil {
				return nil, err
			}
		}
	}
	if _, taken := c.objects[key{resource, o.GetName()}]; taken {
		return nil, apierrors.NewAlreadyExists(group(resource), o.GetName())
	}
	if dryRun {
		return o, nil
	}
	if err := c.addLocked(o); err != nil {
		return nil, err
	}
	return copyOf(o), nil
}

// getLocked returns an object of the cluster.
func (c *Cluster) getLocked(resource, name string) (object, error) {
	if found := c.objects[key{resource, name}]; found != nil {
		return found, nil
	}
	return nil, apierrors.NewNotFound(group(resource), name)
}

// listLocked returns copies of the objects that match, by name.
func (c *Cluster) listLocked(resource string, match func(object) bool) []object {
	var found []object
	for k, o := range c.objects {
		if k.resource == resource && match(o) {
			found = append(found, copyOf(o))
		}
	}
	slices.SortFunc(found, func(a, b object) int {
		if a.GetName() < b.GetName() {
			return -1
		}
		return 1
	})
	return found
}

// Names lists what the cluster holds, as "pods/kiln-x", in order. Events are left
// out.
func (c *Cluster) Names() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	for _, k := range slices.Collect(maps.Keys(c.objects)) {
		if k.resource != "events" {
			names = append(names, k.resource+"/"+k.name)
		}
	}
	slices.Sort(names)
	return names
}

// Pod returns the pod called name, nil where there is none.
func (c *Cluster) Pod(name string) *corev1.Pod {
	c.mu.Lock()
	defer c.mu.Unlock()
	if pod, ok := c.objects[key{"pods", name}].(*corev1.Pod); ok {
		return pod.DeepCopy()
	}
	return nil
}

// Pods returns all pods, by name.
func (c *Cluster) Pods() []*corev1.Pod {
	c.mu.Lock()
	defer c.mu.Unlock()
	var pods []*corev1.Pod
	for _, o := range c.listLocked("pods", func(object) bool { return true }) {
		if pod, ok := o.(*corev1.Pod); ok {
			pods = append(pods, pod)
		}
	}
	return pods
}

// Change alters the pod called name, if there is one.
func (c *Cluster) Change(name string, alter func(*corev1.Pod)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changeLocked(name, alter)
}

// changeLocked is Change.
func (c *Cluster) changeLocked(name string, alter func(*corev1.Pod)) {
	pod, ok := c.objects[key{"pods", name}].(*corev1.Pod)
	if !ok {
		return
	}
	pod = pod.DeepCopy()
	alter(pod)
	c.storeLocked(watch.Modified, pod)
}

// ExpireWatches breaks all watches off and lets none begin at a version of before:
// they are told that theirs has expired.
func (c *Cluster) ExpireWatches() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.version++
	c.expired = c.version
	c.changes = nil
	c.wakeLocked()
}

// QuotaFull is the refusal of a pod for which a quota has no room: it wants one pod
// where limit of them are taken.
func QuotaFull(pod string, limit int) error {
	return apierrors.NewForbidden(group("pods"), pod, fmt.Errorf("exceeded quota: builds, requested: pods=1, used: pods=%d, limited: pods=%d", limit, limit))
}
