package servicerun_test

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"kiln/internal/spool"
)

// TestLostPorts: of ports that cannot be opened after a restart the author is told once,
// again where they are others, and no more when the job is over.
func TestLostPorts(t *testing.T) {
	s := newStage(t, nil)
	target := netip.MustParseAddrPort("10.0.0.7:5432")
	var kept []spool.KeptPort
	for _, service := range []string{"db", "cache"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		host := netip.MustParseAddrPort(l.Addr().String()).Port()
		kept = append(kept, spool.KeptPort{Service: service, Protocol: "tcp", Host: host, Target: target})
	}
	if err := s.state.NoteServices(spool.ServicesRecord{Ports: kept[:1]}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"db", "", "cache", ""} {
		if i == 2 { // the second is lost too
			record, err := s.state.NotedServices()
			record.Ports = kept
			if err == nil {
				err = s.state.NoteServices(record)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		s.again()
		if err := s.services.Resume(); err == nil {
			t.Error("no error of a port that is taken")
		}
		s.log.Reset()
		s.services.Tell(s.call("step"))
		s.services.Tell(s.call("step"))
		got := s.log.String()
		if lines := strings.Count(got, "\n"); want == "" && lines != 0 || want != "" && (lines != 1 || !strings.Contains(got, "for the service "+want+" is taken")) {
			t.Errorf("%d: told %q, want %q", i, got, want)
		}
	}
	s.services.Stop(t.Context(), s.call("cleanup"))
	s.log.Reset()
	if s.services.Tell(s.call("step")); s.log.Len() > 0 {
		t.Errorf("after the job: %q", s.log.String())
	}
}
