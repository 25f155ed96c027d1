package podoptions

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"kiln/internal/createoptions"
	"kiln/internal/failure"
	"kiln/internal/hook"
)

// Policy is what the operator allows.
type Policy struct {
	// Rights allows more than Pod Security baseline does.
	Rights bool
	// GPU is the resource that a graphics card is, such as nvidia.com/gpu; empty
	// for none. GPUs is how many of it all of them are.
	GPU  corev1.ResourceName
	GPUs int64
}

// Place is where a container comes to be.
type Place struct {
	// Name is the container's, unique in its pod: a DNS label.
	Name string
	// Work is the path of the work folder in the runner container.
	Work string
	// Arch is the architecture of the nodes, a value of kubernetes.io/arch.
	Arch   string
	Policy Policy
	// Numbers looks names of users and groups up in the image; nil where nobody
	// can. A nil number is the image's own.
	Numbers func(user createoptions.User) (uid, gid *int64, err error)
}

// Spec is what options and volumes make of a container.
type Spec struct {
	Security  *corev1.SecurityContext
	Resources corev1.ResourceRequirements
	// Pull is Always unless the author wants less, as hosted runners pull.
	Pull    corev1.PullPolicy
	Volumes []corev1.Volume
	Mounts  []corev1.VolumeMount
	// Pod are settings that a pod has only once.
	Pod Pod
}

// Of returns what options, and volumes as the runner sends them, are in a pod.
func Of(o createoptions.Options, volumes []hook.Mount, place Place) (Spec, error) {
	if err := allowed(o, place.Policy); err != nil {
		return Spec{}, err
	}
	security, err := security(o, place)
	if err != nil {
		return Spec{}, err
	}
	resources, err := resources(o, place.Policy)
	if err != nil {
		return Spec{}, err
	}
	pod, err := podOf(o, place)
	if err != nil {
		return Spec{}, err
	}
	m := mounts{place: place, targets: map[string]bool{}, names: map[string]bool{}}
	if err := m.all(o, volumes); err != nil {
		return Spec{}, err
	}
	return Spec{Security: security, Resources: resources, Pull: pull(o.Pull), Volumes: m.volumes, Mounts: m.list, Pod: pod}, nil
}

// Apply puts the settings of a container into it.
func (s Spec) Apply(c *corev1.Container) {
	c.SecurityContext = s.Security
	c.Resources = s.Resources
	c.ImagePullPolicy = s.Pull
	c.VolumeMounts = append(c.VolumeMounts, s.Mounts...)
}

// refuse is an error that the author reads.
func refuse(format string, args ...any) error {
	return failure.New(failure.BadRequest, format, args...)
}

// allowed refuses what the operator does not allow.
func allowed(o createoptions.Options, policy Policy) error {
	rights := o.Rights()
	if policy.Rights || len(rights) == 0 {
		return nil
	}
	return refuse("options: %s: not allowed here; ask who runs these runners (KILN_JOB_RIGHTS)", strings.Join(rights, ", "))
}

func pull(asked string) corev1.PullPolicy {
	switch asked {
	case "missing":
		return corev1.PullIfNotPresent
	case "never":
		return corev1.PullNever
	}
	return corev1.PullAlways
}

// resources are limits alone: Docker reserves nothing, and without a request of its
// own a limit would be one.
func resources(o createoptions.Options, policy Policy) (corev1.ResourceRequirements, error) {
	r := corev1.ResourceRequirements{}
	set := func(name corev1.ResourceName, request, limit *resource.Quantity) {
		if r.Limits == nil {
			r.Limits, r.Requests = corev1.ResourceList{}, corev1.ResourceList{}
		}
		r.Requests[name] = *request
		if !limit.IsZero() {
			r.Limits[name] = *limit
		}
	}
	if o.CPUMillis > 0 {
		set(corev1.ResourceCPU, resource.NewQuantity(0, resource.DecimalSI), resource.NewMilliQuantity(o.CPUMillis, resource.DecimalSI))
	}
	if o.Memory > 0 || o.MemoryReservation > 0 {
		set(corev1.ResourceMemory, bytes(o.MemoryReservation), bytes(o.Memory))
	}
	if o.GPUs == 0 {
		return r, nil
	}
	if policy.GPU == "" {
		return r, refuse("options: --gpus: no GPU resource is configured here; ask who runs these runners (KILN_GPU)")
	}
	count := int64(o.GPUs)
	if o.GPUs == createoptions.AllGPUs {
		count = policy.GPUs
	}
	cards := resource.NewQuantity(count, resource.DecimalSI)
	set(policy.GPU, cards, cards)
	return r, nil
}

func bytes(n int64) *resource.Quantity { return resource.NewQuantity(n, resource.BinarySI) }

// security is what a container may do.
func security(o createoptions.Options, place Place) (*corev1.SecurityContext, error) {
	if err := withoutPrivileges(o); err != nil {
		return nil, err
	}
	s := corev1.SecurityContext{}
	if o.Privileged {
		s.Privileged = new(true)
	}
	if len(o.CapAdd)+len(o.CapDrop) > 0 {
		s.Capabilities = &corev1.Capabilities{Add: capabilities(o.CapAdd), Drop: capabilities(o.CapDrop)}
	}
	if o.Security.NoNewPrivileges {
		s.AllowPrivilegeEscalation = new(false)
	}
	if o.Security.UnconfinedSeccomp {
		s.SeccompProfile = &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeUnconfined}
	}
	if o.ReadOnly {
		s.ReadOnlyRootFilesystem = new(true)
	}
	s.AppArmorProfile = appArmor(o.Security)
	s.SELinuxOptions = seLinux(o.Security.SELinux)
	if o.User != nil {
		var err error
		if s.RunAsUser, s.RunAsGroup, err = user(*o.User, place); err != nil {
			return nil, err
		}
	}
	if s == (corev1.SecurityContext{}) {
		return nil, nil
	}
	return &s, nil
}

// withoutPrivileges refuses what a pod has with --privileged alone.
func withoutPrivileges(o createoptions.Options) error {
	switch {
	case o.Privileged:
	case len(o.Devices) > 0:
		return refuse("options: --device %s has no counterpart on Kubernetes without --privileged; a device plugin and the hook template can give it to all jobs", o.Devices[0].Host)
	case o.Security.UnmaskedPaths:
		return refuse("options: --security-opt systempaths=unconfined has no counterpart on Kubernetes without --privileged")
	}
	return nil
}

func capabilities(names []string) []corev1.Capability {
	var list []corev1.Capability
	for _, name := range names {
		list = append(list, corev1.Capability(name))
	}
	return list
}

func appArmor(s createoptions.Security) *corev1.AppArmorProfile {
	switch {
	case s.UnconfinedAppArmor:
		return &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined}
	case s.AppArmor != "":
		return &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeLocalhost, LocalhostProfile: &s.AppArmor}
	}
	return nil
}

func seLinux(label map[string]string) *corev1.SELinuxOptions {
	if len(label) == 0 {
		return nil
	}
	return &corev1.SELinuxOptions{User: label["user"], Role: label["role"], Type: label["type"], Level: label["level"]}
}

// user returns numbers: a pod knows no names.
func user(u createoptions.User, place Place) (uid, gid *int64, err error) {
	named := u.UID == nil && u.Name != "" || u.GID == nil && u.Group != ""
	switch {
	case !named:
		return u.UID, u.GID, nil
	case place.Numbers == nil:
		return nil, nil, refuse("options: --user %s: the image's names of users cannot be read; give the number", text(u))
	}
	uid, gid, err = place.Numbers(u)
	if err != nil {
		return nil, nil, refuse("options: --user %s: %w", text(u), err)
	}
	return uid, gid, nil
}

// text is a user as the author wrote it.
func text(u createoptions.User) string {
	if u.Group == "" {
		return u.Name
	}
	return fmt.Sprintf("%s:%s", u.Name, u.Group)
}
