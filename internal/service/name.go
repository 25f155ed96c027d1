package service

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"kiln/internal/podoptions"
)

// Named is a service with its names.
type Named struct {
	// Container is its container's: a DNS label, unique in the job, and not that of
	// a container of kiln's.
	Container string
	// Title is what the author knows it by.
	Title string
	// Hosts are the names by which others find it, none of them another's.
	Hosts []string
}

// Names gives each service its names; no container gets one that is taken. The warnings
// are one line each.
func Names(services []Service, taken ...string) (named []Named, warnings []string) {
	n := namer{containers: map[string]bool{}, taken: map[string]bool{}}
	for _, name := range taken {
		n.containers[name] = true
	}
	named = make([]Named, len(services))
	for i, s := range services {
		named[i] = n.begin(s)
	}
	n.claim(services, named, true, func(s Service) []string { return nonEmpty(s.ID) })
	n.claim(services, named, true, func(s Service) []string {
		return append(nonEmpty(s.Options.Name, s.Options.Hostname), s.Options.Aliases...)
	})
	for i, s := range services {
		// Where a service has names of its own, that of its image is only a further one.
		n.claim(services[i:i+1], named[i:i+1], len(named[i].Hosts) == 0, func(Service) []string { return nonEmpty(imageName(s.Container.Image)) })
	}
	return named, n.warnings
}

// namer is what is taken so far.
type namer struct {
	containers map[string]bool
	taken      map[string]bool // hosts
	warnings   []string
}

// begin names the container of a service.
func (n *namer) begin(s Service) Named {
	title := cmp.Or(append(append([]string{s.ID, s.Options.Name}, s.Options.Aliases...), imageName(s.Container.Image))...)
	label := labelOf(title)
	unique := label
	for i := 2; n.containers[unique]; i++ {
		unique = fmt.Sprintf("%s-%d", label, i)
	}
	n.containers[unique] = true
	return Named{Container: unique, Title: title}
}

// claim gives names to services, each to the first that wants it.
func (n *namer) claim(services []Service, named []Named, tell bool, of func(Service) []string) {
	for i, s := range services {
		for _, name := range of(s) {
			host, ok := podoptions.HostName(name)
			switch {
			case !ok && tell:
				n.warn("%q of the service %s is no name of a host on Kubernetes, which has letters, digits, - and . alone", name, named[i].Title)
			case !ok || slices.Contains(named[i].Hosts, host):
			case n.taken[host]:
				if tell {
					n.warn("%q is a name of two services and leads to the first of them; --network-alias in options gives one another name", name)
				}
			default:
				n.taken[host] = true
				named[i].Hosts = append(named[i].Hosts, host)
			}
		}
	}
}

func (n *namer) warn(format string, args ...any) {
	n.warnings = append(n.warnings, fmt.Sprintf("services: "+format, args...))
}

// imageName is the last element of an image's name, without tag and digest.
func imageName(image string) string {
	name, _, _ := strings.Cut(image, "@")
	name, _, _ = strings.Cut(path.Base(name), ":")
	return name
}

// maxLabel leaves room in a DNS label for what makes it unique.
const maxLabel = 56

// labelOf makes a DNS label of a name.
func labelOf(name string) string {
	label := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			return r
		}
		return '-'
	}, strings.ToLower(name))
	label = strings.Trim(label[:min(len(label), maxLabel)], "-")
	if label == "" {
		return "service"
	}
	return label
}

// nonEmpty leaves out what is empty.
func nonEmpty(names ...string) []string {
	return slices.DeleteFunc(names, func(name string) bool { return name == "" })
}
