package podoptions

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"kiln/internal/createoptions"
)

// Pod are settings of a container that its whole pod shares.
type Pod struct {
	Sysctls []corev1.Sysctl
	Groups  []int64
	// Hosts are entries of /etc/hosts, one for each name.
	Hosts     []corev1.HostAlias
	DNSPolicy corev1.DNSPolicy
	DNS       *corev1.PodDNSConfig
}

// Apply adds the settings to a pod. What only one container can decide, the first
// that does has decided.
func (p Pod) Apply(spec *corev1.PodSpec) {
	if len(p.Sysctls)+len(p.Groups) > 0 && spec.SecurityContext == nil {
		spec.SecurityContext = &corev1.PodSecurityContext{}
	}
	for _, sysctl := range p.Sysctls {
		same := func(s corev1.Sysctl) bool { return s.Name == sysctl.Name }
		if !slices.ContainsFunc(spec.SecurityContext.Sysctls, same) {
			spec.SecurityContext.Sysctls = append(spec.SecurityContext.Sysctls, sysctl)
		}
	}
	if len(p.Groups) > 0 {
		spec.SecurityContext.SupplementalGroups = append(spec.SecurityContext.SupplementalGroups, p.Groups...)
	}
	spec.HostAliases = append(spec.HostAliases, p.Hosts...)
	if spec.DNSConfig == nil && p.DNS != nil {
		spec.DNSConfig, spec.DNSPolicy = p.DNS, p.DNSPolicy
	}
}

// podOf collects what a pod has once. The error is about what no pod can have.
func podOf(o createoptions.Options, place Place) (Pod, error) {
	if o.Arch != "" && o.Arch != place.Arch {
		return Pod{}, refuse("options: --platform linux/%s: these runners work on nodes of %s", o.Arch, place.Arch)
	}
	var p Pod
	for _, name := range slices.Sorted(maps.Keys(o.Sysctls)) {
		p.Sysctls = append(p.Sysctls, corev1.Sysctl{Name: name, Value: o.Sysctls[name]})
	}
	for _, group := range o.Groups {
		id, err := groupNumber(group, place)
		if err != nil {
			return Pod{}, refuse("options: --group-add %s: %v", group, err)
		}
		p.Groups = append(p.Groups, id)
	}
	for _, host := range o.Hosts {
		name, ok := HostName(host.Name)
		if !ok {
			return Pod{}, refuse("options: --add-host %s: Kubernetes takes no such name of a host", host.Name)
		}
		p.Hosts = append(p.Hosts, corev1.HostAlias{IP: host.IP.String(), Hostnames: []string{name}})
	}
	p.dns(o)
	return p, nil
}

// groupNumber is the number of a group, which a pod knows groups by.
func groupNumber(group string, place Place) (int64, error) {
	if id, err := strconv.ParseInt(group, 10, 32); err == nil && id >= 0 {
		return id, nil
	}
	if place.Numbers == nil {
		return 0, errors.New("a pod knows groups by number alone; give the number")
	}
	_, id, err := place.Numbers(createoptions.User{Name: "0", Group: group})
	if err == nil && id == nil {
		err = errors.New("no group of the image")
	}
	if err != nil {
		return 0, err
	}
	return *id, nil
}

// dns sets what --dns* do: with a server, the cluster's is not asked.
func (p *Pod) dns(o createoptions.Options) {
	if len(o.DNS)+len(o.DNSSearch)+len(o.DNSOptions) == 0 {
		return
	}
	p.DNSPolicy, p.DNS = corev1.DNSClusterFirst, &corev1.PodDNSConfig{Searches: slices.Clone(o.DNSSearch)}
	for _, ip := range o.DNS {
		p.DNSPolicy = corev1.DNSNone
		p.DNS.Nameservers = append(p.DNS.Nameservers, ip.String())
	}
	for _, option := range o.DNSOptions {
		name, value, ok := strings.Cut(option, ":")
		entry := corev1.PodDNSConfigOption{Name: name}
		if ok {
			entry.Value = &value
		}
		p.DNS.Options = append(p.DNS.Options, entry)
	}
}

// HostName returns a name as an entry of /etc/hosts has it in a pod: in lower case.
// It is not ok for a name that Kubernetes does not take, such as one with "_".
func HostName(name string) (string, bool) {
	lower := strings.ToLower(name)
	return lower, len(validation.IsDNS1123Subdomain(lower)) == 0
}
