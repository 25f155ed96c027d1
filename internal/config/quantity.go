package config

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/resource"
)

// validateQuantities reports the resource settings that Kubernetes would
// refuse.
func (s *Settings) validateQuantities() []error {
	var errs []error
	for name, value := range map[string]string{"KILN_BUILD_MEMORY": s.BuildMemory, "KILN_BUILD_STORAGE": s.BuildStorage} {
		if _, err := resource.ParseQuantity(value); err != nil {
			errs = append(errs, fmt.Errorf("%s is %q: write a Kubernetes quantity such as 2Gi", name, value))
		}
	}
	return errs
}
