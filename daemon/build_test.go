package main

import (
	"testing"
	"time"
)

// TestRefine: what the person says wins over what the namespace says, and that over
// the defaults.
func TestRefine(t *testing.T) {
	t.Setenv("KILN_BUILD_MEMORY", "4Gi")
	args := []string{"build", ".", "--build-timeout=5m"}
	settings, err := refine(args, map[string]string{
		"KILN_BUILD_MEMORY": "1Gi", "KILN_BUILD_TIMEOUT": "1m", "KILN_PENDING_TIMEOUT": "2m",
		"KILN_INSECURE_REGISTRIES": "a:5000,b:5000", "SOMETHING_ELSE": "x",
	})
	if err != nil {
		t.Fatal(err)
	}
	if settings.BuildMemory != "4Gi" || settings.BuildTimeout != 5*time.Minute || settings.PendingTimeout != 2*time.Minute || len(settings.Insecure) != 2 || settings.BuildStorage != "10Gi" {
		t.Errorf("settings %+v", settings)
	}
	if _, err := refine(args, map[string]string{"KILN_PENDING_TIMEOUT": "soon"}); err == nil {
		t.Error("a malformed setting was taken")
	}
}
