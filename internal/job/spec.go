package job

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/createoptions"
	"kiln/internal/hook"
	"kiln/internal/podoptions"
)

// ContainerName is the name of the job container, the stock hook's name for it.
const ContainerName = "job"

// Spec is everything that a job's objects are made of.
type Spec struct {
	// Name is that of the pod and of its Secret: at most 63 characters of a DNS label.
	Name string
	// Namespace is the runner pod's.
	Namespace string
	// Container is the job container as the runner sent it.
	Container hook.JobContainer
	// Options are those of the job container, and Settings what they and its volumes
	// are in a pod.
	Options  createoptions.Options
	Settings podoptions.Spec
	// Dir is the name of the job's own directory below _kiln on the work volume.
	Dir string
	// Door is the secret of the way into the job container by TCP.
	Door []byte
	// AgentImage is kiln's own image where the agent comes from it, by an init container;
	// empty is Dir, where the shim has put it.
	AgentImage string
	// Claim is the persistent volume claim of the work folder, and WorkMount where the
	// runner container mounts it.
	Claim     string
	WorkMount string
	// NodeName is the node that the pod must run on; empty means any.
	NodeName string
	// Arch is the value of kubernetes.io/arch that the pod needs; empty means any.
	Arch string
	// Tolerations and ImagePullSecrets are the pod's.
	Tolerations      []corev1.Toleration
	ImagePullSecrets []corev1.LocalObjectReference
	// SELinux and SELinuxChange are the runner's, whose volume the pod shares; nil
	// leaves them to the cluster.
	SELinux       *corev1.SELinuxOptions
	SELinuxChange *corev1.PodSELinuxChangePolicy
	// Labels and OwnerReferences go on every object.
	Labels          map[string]string
	OwnerReferences []metav1.OwnerReference
	// Services are those that run beside the job container.
	Services Services
}

// Services is what the services of a job add to its pod.
type Services struct {
	// Containers run beside the job container, none of them called like it.
	Containers []corev1.Container
	// Volumes are what they mount beside the work volume.
	Volumes []corev1.Volume
	// Aliases are the names by which the services are found.
	Aliases []corev1.HostAlias
	// Hostname is what a pod of services alone is called; empty for its own name.
	Hostname string
	// Data is what the job's Secret holds for them, by keys of their own.
	Data map[string][]byte
	// Ports are those that they listen at.
	Ports []int32
	// Pods is what they want of their pod.
	Pods []podoptions.Pod
}

// With adds other services to these.
func (s Services) With(more Services) Services {
	return Services{
		Containers: slices.Concat(s.Containers, more.Containers),
		Volumes:    slices.Concat(s.Volumes, more.Volumes),
		Aliases:    slices.Concat(s.Aliases, more.Aliases),
		Hostname:   s.Hostname,
		Data:       s.Data,
		Ports:      slices.Concat(s.Ports, more.Ports),
		Pods:       slices.Concat(s.Pods, more.Pods),
	}
}

// meta is the metadata of an object of the job, which shares nothing with s.
func (s Spec) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name:            name,
		Namespace:       s.Namespace,
		Labels:          maps.Clone(s.Labels),
		OwnerReferences: slices.Clone(s.OwnerReferences),
	}
}

// Port returns the port at which the agent listens beside its socket: the first from
// firstPort on that no service has.
func (s Spec) Port() int32 {
	port := int32(firstPort)
	for slices.Contains(s.Services.Ports, port) {
		port++
	}
	return port
}

// firstPort is one that is registered for nothing and that no software is known by.
const firstPort = 8177

// listen is the address that the agent listens at, in both families.
func (s Spec) listen() string { return fmt.Sprintf(":%d", s.Port()) }
