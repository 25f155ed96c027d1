package service

import (
	"cmp"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"kiln/internal/failure"
)

// Protocols of a port.
const (
	TCP = "tcp"
	UDP = "udp"
)

// Port is a port that a service listens at.
type Port struct {
	Number   uint16
	Protocol string
}

// Mapping is an entry of ports: a port of the service, and the port of the runner
// that leads to it; 0 is any that is free.
type Mapping struct {
	Host uint16
	Port Port
}

// maxPorts bounds the ports of a service, those of ranges counted one by one.
const maxPorts = 100

// Mappings reads ports as Docker does: [[IP:]HOST:]PORT[/PROTOCOL], each also a
// range FIRST-LAST. The address is the runner's own in any case. Errors are the
// author's.
func Mappings(list []string) ([]Mapping, error) {
	var all []Mapping
	for _, text := range list {
		some, err := mapping(text)
		if err != nil {
			return nil, err
		}
		if all = append(all, some...); len(all) > maxPorts {
			return nil, failure.New(failure.BadRequest, "ports: a service has more than the %d ports that it can have here", maxPorts)
		}
	}
	return all, nil
}

// mapping reads one entry.
func mapping(text string) ([]Mapping, error) {
	bad := failure.New(failure.BadRequest, "ports: %q is not [HOST:]PORT[/PROTOCOL]", text)
	numbers, protocol, _ := strings.Cut(text, "/")
	protocol = strings.ToLower(cmp.Or(protocol, TCP))
	if protocol != TCP && protocol != UDP {
		return nil, failure.New(failure.BadRequest, "ports: %q: of protocols there are tcp and udp", text)
	}
	host, container := "", numbers
	if at := strings.LastIndexByte(numbers, ':'); at >= 0 {
		host, container = numbers[:at], numbers[at+1:]
	}
	if at := strings.LastIndexByte(host, ':'); at >= 0 {
		if _, err := netip.ParseAddr(strings.Trim(host[:at], "[]")); err != nil && host[:at] != "localhost" {
			return nil, bad
		}
		host = host[at+1:]
	}
	to, ok := ports(container)
	from, fromOK := ports(host)
	switch {
	case !ok || host != "" && !fromOK:
		return nil, bad
	case host == "":
		from = make([]uint16, len(to))
	case len(from) != len(to) && len(to) == 1:
		from = []uint16{0} // any of the range; any is as good
	case len(from) != len(to):
		return nil, failure.New(failure.BadRequest, "ports: %q: the two ranges are not of one length", text)
	}
	all := make([]Mapping, len(to))
	for i := range to {
		all[i] = Mapping{Host: from[i], Port: Port{Number: to[i], Protocol: protocol}}
	}
	return all, nil
}

// ports reads a port or a range.
func ports(text string) ([]uint16, bool) {
	first, last, isRange := strings.Cut(text, "-")
	from, err := strconv.ParseUint(first, 10, 16)
	if err != nil || from == 0 {
		return nil, false
	}
	to := from
	if isRange {
		if to, err = strconv.ParseUint(last, 10, 16); err != nil || to < from {
			return nil, false
		}
	}
	var all []uint16
	for p := from; p <= to && len(all) <= maxPorts; p++ {
		all = append(all, uint16(p))
	}
	return all, true
}

// ImagePorts reads what an image exposes, as its configuration lists it: 80/tcp.
// What is no port is left out.
func ImagePorts(exposed []string) []Port {
	var all []Port
	for _, text := range exposed[:min(len(exposed), maxPorts)] {
		if some, err := mapping(text); err == nil {
			for _, m := range some {
				all = append(all, m.Port)
			}
		}
	}
	return all
}

// String is the port as Docker writes it.
func (p Port) String() string { return fmt.Sprintf("%d/%s", p.Number, p.Protocol) }
