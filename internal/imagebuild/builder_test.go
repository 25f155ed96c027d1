package imagebuild

import (
	"strings"
	"testing"

	"kiln/internal/config"
)

// TestNew names every option that cannot be used.
func TestNew(t *testing.T) {
	_, err := New(Options{Settings: Settings{Tag: "latest", BuildUserns: "maybe", ReuseMaxAge: -1, BuildTimeout: -1}})
	for _, want := range []string{
		"no cluster", "no registries", "no namespace", "no Kaniko\n", "no log", "no image of Kaniko", "no executor",
		"no way to tag", "no word on user namespaces", "a negative age", "no time for a build pod", "no time for a build\n",
	} {
		if err == nil || !strings.Contains(err.Error()+"\n", want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
	_, err = New(Options{Settings: Settings{Tag: config.TagRandom, BuildUserns: config.UsernsAuto}})
	for _, wrong := range []string{"no way to tag", "no word on user namespaces", "a negative age"} {
		if err == nil || strings.Contains(err.Error(), wrong) {
			t.Errorf("error %v says %q", err, wrong)
		}
	}
}
