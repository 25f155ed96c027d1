package expected

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kiln/e2e/parity/internal/corpus"
	"kiln/e2e/parity/internal/trial"
)

func result(name string, verdict trial.Verdict, differences ...string) trial.Result {
	return trial.Result{Case: corpus.Case{Suite: corpus.Wild, Name: name}, Verdict: verdict, Note: "note", Differences: differences}
}

func results() []trial.Result {
	return []trial.Result{
		result("b", trial.Differs, "/a: mode", "config: Labels"),
		result("a", trial.Same),
		result("c", trial.Refused),
		result("d", trial.Differs, "only Docker builds it"),
	}
}

func TestSaveAndLoad(t *testing.T) {
	file := filepath.Join(t.TempDir(), "fork.txt")
	if err := Save(file, "fork 1.2", Of(results())); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const want = "# fork 1.2\nsame    wild/a\ndiffers wild/b\n\t/a: mode\n\tconfig: Labels\nrefused wild/c\ndiffers wild/d\n\tonly Docker builds it\n"
	if diff := cmp.Diff(want, string(data)); diff != "" {
		t.Errorf("Save (-want +got):\n%s", diff)
	}
	loaded, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if wrong := loaded.Check(results()); wrong != nil {
		t.Errorf("Check of the same results: %q", wrong)
	}
}

func TestLoadRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"verdict": "fine wild/a\n", "one word": "same\n", "twice": "same wild/a\nsame wild/a\n", "difference of nothing": "\t/a: mode\n",
	} {
		file := filepath.Join(t.TempDir(), "fork.txt")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := Load(file); err == nil {
			t.Errorf("%s: Load = %v", name, got)
		}
	}
}

func TestCheck(t *testing.T) {
	want := Results{
		"wild/a": {Verdict: trial.Refused}, "wild/c": {Verdict: trial.Refused},
		"wild/b": {Verdict: trial.Differs, Differences: []string{"/a: mode", "/a: uid"}},
	}
	if diff := cmp.Diff([]string{
		"wild/b differs in config: Labels, which is not expected",
		"wild/b no longer differs in /a: uid, which is expected",
		"wild/a is same, and refused is expected: note",
		"wild/d is differs, and no result is expected of it",
	}, want.Check(results())); diff != "" {
		t.Errorf("Check (-want +got):\n%s", diff)
	}
}
