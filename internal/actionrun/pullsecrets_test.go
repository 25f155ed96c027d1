package actionrun

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"kiln/internal/registry"
	"kiln/internal/runnerpod"
)

// A workflow that names a ready Image, also one of the registry that kiln pushes
// to, gets what FROM gets, and never the registry's Secret.
func TestPullSecrets(t *testing.T) {
	allow, err := registry.ParseAllow([]string{"ghcr.io/acme/**"})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		ready Image
		pull  string // the setting
		allow registry.Allow
		want  []string
	}{
		"built":               {Image{Reference: "registry:5000/app@sha256:1", Pushed: "registry:5000/app@sha256:1"}, "pull", allow, []string{"runner", "push"}},
		"ready":               {Image{Reference: "ghcr.io/other/app"}, "", nil, []string{"runner"}},
		"ready of registry":   {Image{Reference: "registry:5000/app:k1-0"}, "", nil, []string{"runner"}},
		"ready, pull Secret":  {Image{Reference: "registry:5000/app:k1-0"}, "pull", nil, []string{"runner", "pull"}},
		"ready and allowed":   {Image{Reference: "ghcr.io/acme/app:v1"}, "pull", allow, []string{"runner", "pull"}},
		"ready, not allowed":  {Image{Reference: "ghcr.io/other/app:v1"}, "pull", allow, nil},
		"ready of Docker Hub": {Image{Reference: "alpine"}, "pull", allow, nil},
		"no name":             {Image{Reference: "ghcr.io/acme/UPPER"}, "pull", nil, nil},
	} {
		runner := &Runner{options: Options{RegistrySecret: "push", PullSecret: tt.pull, Allow: tt.allow}}
		a := &Action{runner: runner, step: Step{Runner: runnerpod.Self{PullSecrets: []corev1.LocalObjectReference{{Name: "runner"}}}}}
		var got []string
		for _, secret := range a.pullSecrets(tt.ready) {
			got = append(got, secret.Name)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
