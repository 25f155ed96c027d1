package debian

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestIsDebian(t *testing.T) {
	tests := map[string]struct {
		release string
		want    bool
	}{
		"debian":      {"PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\n", true},
		"ubuntu":      {"ID=ubuntu\nID_LIKE=debian\n", false},
		"fedora":      {"ID=\"fedora\"\n", false},
		"says no ID":  {"NAME=x\n", false},
		"empty":       {"", false},
		"quoted":      {"ID=\"debian\"\n", true},
		"VERSION_ID=": {"VERSION_ID=debian\n", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := IsDebian([]byte(tt.release)); got != tt.want {
				t.Errorf("IsDebian = %t, want %t", got, tt.want)
			}
		})
	}
}

func TestMissing(t *testing.T) {
	status := "docker.io installed\nrunc config-files\niptables not-installed\n"
	got := missing([]string{"runc", "docker.io", "iptables", "mmdebstrap", "runc"}, status)
	if diff := cmp.Diff([]string{"iptables", "mmdebstrap", "runc"}, got); diff != "" {
		t.Errorf("missing (-want +got):\n%s", diff)
	}
}
