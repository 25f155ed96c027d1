package harness

import (
	"strings"
	"testing"
)

func TestFromEnvironment(t *testing.T) {
	lookup := func(env map[string]string) func(string) (string, bool) {
		return func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	}
	_, err := fromEnvironment(lookup(map[string]string{"KUBECONFIG": "k"}))
	if err == nil || !strings.Contains(err.Error(), "KILN_E2E_REGISTRY, KILN_E2E_REGISTRY_PUSH, KILN_E2E_KANIKO_IMAGE not set") {
		t.Errorf("error = %v", err)
	}
	env, err := fromEnvironment(lookup(map[string]string{
		"KUBECONFIG": "k", "KILN_E2E_REGISTRY": "r:5000", "KILN_E2E_REGISTRY_PUSH": "127.0.0.1:5000",
		"KILN_E2E_KANIKO_IMAGE": "r:5000/kaniko:v1", "KILN_E2E_KANIKO_FLAVOR": "chainguard@1.25.16",
	}))
	if err != nil || env.Registry != "r:5000" || env.RegistryPush != "127.0.0.1:5000" || env.KanikoFlavor != "chainguard@1.25.16" {
		t.Errorf("environment = %+v, %v", env, err)
	}
}
