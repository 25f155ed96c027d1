package servicerun

import (
	"net/netip"
	"strconv"

	"kiln/internal/failure"
	"kiln/internal/forward"
	"kiln/internal/job"
	"kiln/internal/spool"
)

// forward opens the ports of a job whose steps run in the runner container, and notes
// them in the record.
func (b *begun) forward() error {
	var rules []forward.Rule
	for _, s := range b.list {
		ip, err := netip.ParseAddr(s.ip)
		if err != nil {
			return failure.New(failure.Internal, "the address of the service %s is not known: %w", s.Title, err)
		}
		for _, m := range s.mappings {
			rules = append(rules, forward.Rule{Service: s.Title, Protocol: m.Port.Protocol, Host: m.Host, Target: netip.AddrPortFrom(ip, m.Port.Number)})
		}
	}
	if len(rules) == 0 {
		return nil
	}
	made, err := b.runner.options.Ports.Open(rules)
	if err != nil {
		return err
	}
	for _, rule := range made {
		b.record.Ports = append(b.record.Ports, spool.KeptPort(rule))
	}
	// The rules are in the order of the services' own mappings.
	at := 0
	for _, s := range b.list {
		for i := range s.mappings {
			s.mappings[i].Host = made[at].Host
			at++
		}
	}
	return nil
}

// respond is what workflows see of the services.
func (b *begun) respond() []job.Service {
	list := make([]job.Service, 0, len(b.list))
	for _, s := range b.list {
		seen := job.Service{ID: s.pod + "/" + s.Named.Container, Network: s.pod, Ports: map[string]string{}}
		for _, m := range s.mappings {
			host := m.Host
			if host == 0 {
				host = m.Port.Number
			}
			key := strconv.Itoa(int(m.Port.Number))
			if _, taken := seen.Ports[key]; !taken {
				seen.Ports[key] = strconv.Itoa(int(host))
			}
		}
		list = append(list, seen)
	}
	return list
}
