package kaniko_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"kiln/internal/executor"
	"kiln/internal/kaniko"
)

// TestResultFlags: where things come from and go to is no part of a build key,
// nor is the way to the network. All else is.
func TestResultFlags(t *testing.T) {
	flags := func(change func(*kaniko.Build)) []string {
		b := fullBuild()
		b.Flavor.Name = executor.Chainguard
		change(&b)
		return kaniko.ResultFlags(b)
	}
	want := flags(func(*kaniko.Build) {})
	for name, change := range map[string]func(*kaniko.Build){
		"push reference": func(b *kaniko.Build) { b.Push = "registry.example.com/other/place:k1-0" },
		"pulls":          func(b *kaniko.Build) { b.Pulls = nil },
		"no proxy":       func(b *kaniko.Build) { b.Proxy = kaniko.Proxy{} },
		"another proxy": func(b *kaniko.Build) {
			b.Proxy = kaniko.Proxy{HTTP: "http://other:1", HTTPS: "http://other:2", No: "a"}
		},
		"memory":   func(b *kaniko.Build) { b.Memory = "3Gi" },
		"triggers": func(b *kaniko.Build) { b.Triggers = []string{"alpine"} },
	} {
		if diff := cmp.Diff(want, flags(change)); diff != "" {
			t.Errorf("%s changes the key (-want +got):\n%s", name, diff)
		}
	}
	for name, change := range map[string]func(*kaniko.Build){
		"snapshot mode": func(b *kaniko.Build) { b.SnapshotMode = executor.SnapshotTime },
		"platform":      func(b *kaniko.Build) { b.Arch = "riscv64" },
		"flavor":        func(b *kaniko.Build) { b.Flavor.Name = executor.Osscontainertools },
		"own arguments": func(b *kaniko.Build) { b.OwnArgs = []string{"TARGETARCH"} },
	} {
		if cmp.Equal(want, flags(change)) {
			t.Errorf("%s does not change the key", name)
		}
	}
}
