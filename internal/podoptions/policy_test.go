package podoptions_test

import (
	"strings"
	"testing"

	"kiln/internal/podoptions"
)

func TestParsePolicy(t *testing.T) {
	for _, test := range []struct {
		rights, gpu string
		want        podoptions.Policy
		bad         string
	}{
		{"baseline", "", podoptions.Policy{}, ""},
		{"any", "nvidia.com/gpu=4", podoptions.Policy{Rights: true, GPU: "nvidia.com/gpu", GPUs: 4}, ""},
		{"", "", podoptions.Policy{}, "KILN_JOB_RIGHTS"},
		{"any", "nvidia.com/gpu", podoptions.Policy{}, "KILN_GPU"},
		{"any", "nvidia.com/gpu=0", podoptions.Policy{}, "KILN_GPU"},
		{"any", "gpu=1", podoptions.Policy{}, "KILN_GPU"},
		{"any", "a b/gpu=1", podoptions.Policy{}, "KILN_GPU"},
	} {
		got, err := podoptions.ParsePolicy(test.rights, test.gpu)
		if got != test.want || (err == nil) != (test.bad == "") || err != nil && !strings.HasPrefix(err.Error(), test.bad) {
			t.Errorf("ParsePolicy(%q, %q) = %+v, %v", test.rights, test.gpu, got, err)
		}
	}
}
