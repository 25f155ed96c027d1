package engine

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

const quiet = `*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
-A INPUT -m comment --comment "the \"old\" rule" -j ACCEPT
COMMIT
`

const busy = `*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
:OTHER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.29.0.0/24 ! -o br-1234 -j MASQUERADE
-A POSTROUTING -s 192.168.7.0/24 -j MASQUERADE
-A POSTROUTING -s 172.29.0.2/32 -d 172.29.0.2/32 -p tcp -m tcp --dport 6443 -j MASQUERADE
-A DOCKER -i br-1234 -j RETURN
-A OTHER -m comment --comment "somebody else" -j RETURN
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:DOCKER-USER - [0:0]
-A INPUT -m comment --comment "the \"old\" rule" -j ACCEPT
-A FORWARD -j DOCKER-USER
-A FORWARD -s 10.1.0.0/16 -j ACCEPT
-A DOCKER-USER -j RETURN
COMMIT
`

func TestUndo(t *testing.T) {
	want := [][]string{
		{"-t", "nat", "-D", "PREROUTING", "-m", "addrtype", "--dst-type", "LOCAL", "-j", "DOCKER"},
		{"-t", "nat", "-D", "POSTROUTING", "-s", "172.29.0.0/24", "!", "-o", "br-1234", "-j", "MASQUERADE"},
		{"-t", "nat", "-D", "POSTROUTING", "-s", "172.29.0.2/32", "-d", "172.29.0.2/32", "-p", "tcp", "-m", "tcp", "--dport", "6443", "-j", "MASQUERADE"},
		{"-t", "filter", "-D", "FORWARD", "-j", "DOCKER-USER"},
		{"-t", "nat", "-F", "DOCKER"},
		{"-t", "filter", "-F", "DOCKER-USER"},
		{"-t", "nat", "-X", "DOCKER"},
		{"-t", "filter", "-X", "DOCKER-USER"},
		{"-t", "filter", "-P", "FORWARD", "ACCEPT"},
	}
	if diff := cmp.Diff(want, Undo(quiet, busy)); diff != "" {
		t.Errorf("Undo (-want +got):\n%s", diff)
	}
}

func TestUndoLeavesAnEarlierEngineAlone(t *testing.T) {
	if got := Undo(busy, busy); len(got) != 0 {
		t.Errorf("Undo of no change = %q, want nothing", got)
	}
}

func TestSplitQuoted(t *testing.T) {
	got := splitQuoted(`-A X --comment "a \"b\" c" -j Y`)
	if diff := cmp.Diff([]string{"-A", "X", "--comment", `a "b" c`, "-j", "Y"}, got); diff != "" {
		t.Errorf("splitQuoted (-want +got):\n%s", diff)
	}
}

func TestMountsBelow(t *testing.T) {
	mountinfo := "22 1 8:1 / / rw - ext4 /dev/sda rw\n" +
		"30 22 0:40 / /var/lib/kiln/data/overlay2/x\\040y/merged rw - overlay overlay rw\n" +
		"31 22 0:41 / /var/lib/kiln-other rw - tmpfs tmpfs rw\n" +
		"32 22 0:42 / /var/lib/kiln/exec/netns/1 rw - nsfs nsfs rw\n"
	want := []string{"/var/lib/kiln/data/overlay2/x y/merged", "/var/lib/kiln/exec/netns/1"}
	if diff := cmp.Diff(want, MountsBelow([]byte(mountinfo), "/var/lib/kiln")); diff != "" {
		t.Errorf("MountsBelow (-want +got):\n%s", diff)
	}
}

func TestIsEngineProgram(t *testing.T) {
	const dir = "/var/lib/kiln-cluster/engine"
	tests := map[string]struct {
		cmdline string
		want    bool
	}{
		"dockerd":           {"/usr/sbin/dockerd\x00--config-file\x00" + dir + "/daemon.json\x00", true},
		"a shim":            {"/usr/bin/containerd-shim-runc-v2\x00-address\x00" + dir + "/exec/containerd/containerd.sock\x00", true},
		"another engine":    {"/usr/sbin/dockerd\x00-H\x00fd://\x00", false},
		"an editor":         {"vi\x00" + dir + "/dockerd.log\x00", false},
		"a kernel thread":   {"", false},
		"a similar path":    {"dockerd\x00" + dir + "-2/daemon.json\x00", false},
		"containerd itself": {"containerd\x00--config\x00" + dir + "/exec/containerd/containerd.toml\x00", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := isEngineProgram([]byte(tt.cmdline), dir); got != tt.want {
				t.Errorf("isEngineProgram = %t, want %t", got, tt.want)
			}
		})
	}
}

func TestSettingsUseTheFilterOnlyWhenNeeded(t *testing.T) {
	own := Own{Dir: "/d"}
	if _, ok := own.settings(false)["runtimes"]; ok {
		t.Error("settings without a filter name a runtime")
	}
	if got := own.settings(true)["default-runtime"]; got != "kiln" {
		t.Errorf("default runtime with a filter = %v, want kiln", got)
	}
}
