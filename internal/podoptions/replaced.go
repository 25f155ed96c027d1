package podoptions

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Replaced names the options that a pod has otherwise than their authors asked for:
// before is the pod as the options made it, after what the operator's template made of
// that. A line is for the author to read and begins "options:", with the name of the
// service before it for a container that is not called own.
func Replaced(before, after *corev1.PodSpec, own string) []string {
	var r replaced
	r.pod(before, after)
	for i := range before.Containers {
		have := &before.Containers[i]
		at := slices.IndexFunc(after.Containers, func(c corev1.Container) bool { return c.Name == have.Name })
		if at < 0 {
			continue
		}
		r.prefix = ""
		if have.Name != own {
			r.prefix = "the service " + have.Name + ": "
		}
		r.limits(have.Resources, after.Containers[at].Resources)
		r.security(or(have.SecurityContext), or(after.Containers[at].SecurityContext))
		if have.ImagePullPolicy != corev1.PullAlways {
			r.look("--pull", have.ImagePullPolicy, after.Containers[at].ImagePullPolicy)
		}
	}
	return r.lines
}

// replaced collects lines.
type replaced struct {
	prefix string
	lines  []string
}

// add tells of an option once.
func (r *replaced) add(option, decided string) {
	line := fmt.Sprintf("%soptions: %s: the template of these runners decides%s", r.prefix, option, decided)
	if !slices.Contains(r.lines, line) {
		r.lines = append(r.lines, line)
	}
}

// look adds an option whose value was asked for and is another one now.
func (r *replaced) look(option string, asked, now any) {
	if value := reflect.ValueOf(asked); !value.IsZero() && !reflect.DeepEqual(asked, now) {
		r.add(option, "")
	}
}

// pod looks at what a pod has once.
func (r *replaced) pod(before, after *corev1.PodSpec) {
	asked, now := or(before.SecurityContext), or(after.SecurityContext)
	r.look("--group-add", asked.SupplementalGroups, now.SupplementalGroups)
	r.look("--sysctl", asked.Sysctls, now.Sysctls)
	servers, names := or(before.DNSConfig), or(after.DNSConfig)
	r.look("--dns", servers.Nameservers, names.Nameservers)
	r.look("--dns-search", servers.Searches, names.Searches)
	r.look("--dns-option", servers.Options, names.Options)
	if len(servers.Nameservers) > 0 {
		r.look("--dns", before.DNSPolicy, after.DNSPolicy)
	}
	r.look("--hostname", before.Hostname, after.Hostname)
}

// limits looks at resources. A request of zero is no option's.
func (r *replaced) limits(asked, now corev1.ResourceRequirements) {
	option := func(name corev1.ResourceName) string {
		return cmp.Or(map[corev1.ResourceName]string{corev1.ResourceCPU: "--cpus", corev1.ResourceMemory: "--memory"}[name], "--gpus")
	}
	for _, name := range slices.Sorted(maps.Keys(asked.Limits)) {
		if limit, limits := now.Limits[name]; !limits {
			r.add(option(name), "")
		} else if limit.Cmp(asked.Limits[name]) != 0 {
			r.add(option(name), ": "+limit.String())
		}
	}
	reserved := asked.Requests[corev1.ResourceMemory]
	if request := now.Requests[corev1.ResourceMemory]; !reserved.IsZero() && request.Cmp(reserved) != 0 {
		r.add("--memory-reservation", ": "+request.String())
	}
}

// security looks at what a container may do.
func (r *replaced) security(asked, now corev1.SecurityContext) {
	r.look("--user", asked.RunAsUser, now.RunAsUser)
	r.look("--user", asked.RunAsGroup, now.RunAsGroup)
	r.look("--privileged", asked.Privileged, now.Privileged)
	r.look("--read-only", asked.ReadOnlyRootFilesystem, now.ReadOnlyRootFilesystem)
	r.look("--security-opt no-new-privileges", asked.AllowPrivilegeEscalation, now.AllowPrivilegeEscalation)
	r.look("--security-opt seccomp", asked.SeccompProfile, now.SeccompProfile)
	r.look("--security-opt apparmor", asked.AppArmorProfile, now.AppArmorProfile)
	r.look("--security-opt label", asked.SELinuxOptions, now.SELinuxOptions)
	wanted, have := or(asked.Capabilities), or(now.Capabilities)
	r.look("--cap-add", wanted.Add, have.Add)
	for _, name := range wanted.Drop {
		if !slices.Contains(have.Drop, name) {
			r.add("--cap-drop", "")
		}
	}
}

// or is what a pointer leads to, if it does.
func or[T any](pointer *T) T {
	if pointer == nil {
		return *new(T)
	}
	return *pointer
}
