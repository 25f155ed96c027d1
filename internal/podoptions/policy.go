package podoptions

import (
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Values of what the operator allows.
const (
	RightsBaseline = "baseline"
	RightsAny      = "any"
)

// ParsePolicy reads what the operator has set: rights is one of the constants, gpu is
// RESOURCE=COUNT or empty. The error names the setting to mend.
func ParsePolicy(rights, gpu string) (Policy, error) {
	if rights != RightsBaseline && rights != RightsAny {
		return Policy{}, fmt.Errorf("KILN_JOB_RIGHTS is %q: write %s or %s", rights, RightsBaseline, RightsAny)
	}
	p := Policy{Rights: rights == RightsAny}
	if gpu == "" {
		return p, nil
	}
	name, count, _ := strings.Cut(gpu, "=")
	n, err := strconv.ParseInt(count, 10, 32)
	if err != nil || n <= 0 || !strings.Contains(name, "/") || len(validation.IsQualifiedName(name)) > 0 {
		return Policy{}, fmt.Errorf("KILN_GPU is %q: write the resource and how many of it --gpus all means, as nvidia.com/gpu=1", gpu)
	}
	p.GPU, p.GPUs = corev1.ResourceName(name), n
	return p, nil
}
