package label

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation"

	"kiln/internal/hook"
)

func TestProvenance(t *testing.T) {
	got := provenance(hook.Environment{
		"GITHUB_REPOSITORY": "acme/app", "GITHUB_RUN_ID": "17", "GITHUB_JOB": "build-it", "GITHUB_RUN_ATTEMPT": "2", "SECRET": "x",
	})
	want := map[string]string{
		"kiln.build/repository": "acme.app", "kiln.build/run": "17", "kiln.build/job": "build-it", "kiln.build/attempt": "2",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if got := provenance(nil); len(got) != 0 {
		t.Errorf("without an environment: %v", got)
	}
}

// Whatever a workflow sets, the API server takes it.
func FuzzLabelValue(f *testing.F) {
	for _, text := range []string{"", "acme/app", "-x-", "...", "größe", "a\x00b\n", "\xff", strings.Repeat("a", 100), strings.Repeat("é", 100), strings.Repeat("-", 62) + "ab"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		value := labelValue(text)
		if errs := validation.IsValidLabelValue(value); len(errs) > 0 {
			t.Errorf("%q becomes %q: %v", text, value, errs)
		}
	})
}
