package imagebuild

import (
	"testing"
	"time"

	"kiln/internal/kube/kubetest"
	"kiln/internal/registry"
)

func TestDecide(t *testing.T) {
	start := time.Now()
	for name, tt := range map[string]struct {
		image   *registry.Image
		missing string
		maxAge  time.Duration
		note    string
		why     string
	}{
		"none":               {nil, "", time.Hour, "", "not built yet"},
		"young":              {&registry.Image{Digest: "d", Created: start.Add(-20 * time.Minute)}, "", time.Hour, "reused (built 20m ago)", ""},
		"old":                {&registry.Image{Digest: "d", Created: start.Add(-2 * time.Hour)}, "", time.Hour, "", "older than 1h"},
		"never":              {&registry.Image{Digest: "d", Created: start.Add(-time.Second)}, "", 0, "", "reuse is off"},
		"built meanwhile":    {&registry.Image{Digest: "d", Created: start.Add(clockSkew / 2)}, "", 0, "built by another runner", ""},
		"of the future":      {&registry.Image{Digest: "d", Created: start.AddDate(900, 0, 0)}, "", time.Hour, "", "its build time is ahead of the clock"},
		"of the future, off": {&registry.Image{Digest: "d", Created: start.AddDate(900, 0, 0)}, "", 0, "", "reuse is off"},
		"not on any node":    {&registry.Image{Digest: "d", Created: start.Add(-time.Minute)}, "d", time.Hour, "", "the nodes do not find it"},
		"another than that":  {&registry.Image{Digest: "e", Created: start.Add(clockSkew / 2)}, "d", time.Hour, "built by another runner", ""},
	} {
		t.Run(name, func(t *testing.T) {
			o, _ := anOrder(kubetest.New())
			o.builder.options.Settings.ReuseMaxAge, o.missing = tt.maxAge, tt.missing
			found, why := o.decide(tt.image)
			if found.note != tt.note || why != tt.why || (why == "") != (found.digest != "") {
				t.Errorf("found %+v, why %q; want note %q, why %q", found, why, tt.note, tt.why)
			}
		})
	}
}

func TestRepository(t *testing.T) {
	for reference, want := range map[string]string{
		"ghcr.io/a/b:t": "ghcr.io/a/b", "host:5000/a:t": "host:5000/a", "host:5000/a": "host:5000/a",
	} {
		if got := repository(reference); got != want {
			t.Errorf("repository(%q) = %q, want %q", reference, got, want)
		}
	}
}
