package resolver

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestParse(t *testing.T) {
	hosts := "# kubelet\n127.0.0.1\tlocalhost\n::1 localhost ip6-localhost\n10.0.0.9 Registry.Example.com. registry # mine\nbogus x\n10.0.0.9\n10.0.0.9 registry\n"
	servers := "nameserver 10.96.0.10\nnameserver fe80::1%eth0\n; old\ndomain gone.example\nsearch ns.svc.cluster.local svc.cluster.local. Cluster.Local\n" +
		"options ndots:5 timeout:2 attempts:99 rotate trust-ad ndots:x\nnameserver bogus\nnameserver 10.96.0.11\nnameserver 10.96.0.12\n"
	want := Config{
		Hosts: map[string][]netip.Addr{
			"localhost":            {netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")},
			"ip6-localhost":        {netip.MustParseAddr("::1")},
			"registry.example.com": {netip.MustParseAddr("10.0.0.9")},
			"registry":             {netip.MustParseAddr("10.0.0.9")},
		},
		Servers: []netip.AddrPort{
			netip.MustParseAddrPort("10.96.0.10:53"), netip.MustParseAddrPort("[fe80::1%eth0]:53"), netip.MustParseAddrPort("10.96.0.11:53"),
		},
		Search: []string{"ns.svc.cluster.local", "svc.cluster.local", "cluster.local"},
		Dots:   5, Timeout: 2 * time.Second, Attempts: 5, Rotate: true,
	}
	compare := cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{})
	if diff := cmp.Diff(want, Parse([]byte(hosts), []byte(servers)), compare); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
	empty := Parse(nil, nil)
	if empty.Dots != 1 || empty.Timeout != 5*time.Second || empty.Attempts != 2 || len(empty.Servers) != 0 {
		t.Errorf("without files: %+v", empty)
	}
}

func TestCandidates(t *testing.T) {
	c := Config{Search: []string{"ns.svc", "svc"}, Dots: 2}
	for name, want := range map[string][]string{
		"registry":      {"registry.ns.svc.", "registry.svc.", "registry."},
		"a.registry":    {"a.registry.ns.svc.", "a.registry.svc.", "a.registry."},
		"a.b.registry":  {"a.b.registry.", "a.b.registry.ns.svc.", "a.b.registry.svc."},
		"a.b.registry.": {"a.b.registry."},
	} {
		if diff := cmp.Diff(want, c.candidates(name)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// What was read first is what counts, also after a restart.
func TestKeep(t *testing.T) {
	dir := t.TempDir()
	if _, err := Kept(dir); !os.IsNotExist(unwrap(err)) {
		t.Errorf("before the first: %v", err)
	}
	first, err := Keep(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Keep(dir); err != nil {
		t.Fatal(err)
	}
	kept, err := Kept(dir)
	if err != nil {
		t.Fatal(err)
	}
	compare := cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{})
	if diff := cmp.Diff(first.config, kept.config, compare, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	changed := `{"hosts":{"registry":["10.0.0.1"]},"servers":["10.0.0.2:53"],"dots":1,"timeout":1,"attempts":1}`
	if err := os.WriteFile(filepath.Join(dir, keptName), []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := Keep(dir)
	if err != nil || len(again.config.Servers) != 1 || again.config.Servers[0].String() != "10.0.0.2:53" {
		t.Errorf("Keep reads the files anew: %+v, %v", again, err)
	}
	if err := os.WriteFile(filepath.Join(dir, keptName), []byte(`{`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Keep(dir); err == nil {
		t.Error("a file that was cut is taken")
	}
}

func unwrap(err error) error {
	for {
		inner, ok := err.(interface{ Unwrap() error })
		if !ok || os.IsNotExist(err) {
			return err
		}
		err = inner.Unwrap()
	}
}
