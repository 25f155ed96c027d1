package doctor

import (
	"strings"
	"testing"

	"kiln/internal/registry"
)

func TestPlainLoginFindings(t *testing.T) {
	held := registry.PlainLogins{}.CheckProxies("http://robot:hunter2@proxy:3128")
	for name, tt := range map[string]struct {
		named []string
		held  error
		want  []string // of faults
	}{
		"none":  {nil, nil, nil},
		"hosts": {[]string{"registry:5000", "proxy:3128"}, nil, []string{"registry:5000", "proxy:3128"}},
		"proxy": {nil, held, []string{"proxy:3128"}},
	} {
		findings := plainLoginFindings(tt.named, tt.held)
		var faults []Finding
		for _, finding := range findings {
			if finding.Status == Fail {
				faults = append(faults, finding)
			}
		}
		if len(faults) != len(tt.want) {
			t.Fatalf("%s: %+v", name, findings)
		}
		for i, want := range tt.want {
			if !strings.Contains(faults[i].Seen, want) || !strings.Contains(faults[i].Mend, "KILN_PLAIN_LOGIN") || strings.Contains(faults[i].Seen, "hunter2") {
				t.Errorf("%s: %+v", name, faults[i])
			}
		}
	}
}
