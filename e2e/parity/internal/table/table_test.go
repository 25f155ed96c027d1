package table

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kiln/e2e/parity/internal/corpus"
	"kiln/e2e/parity/internal/expected"
	"kiln/e2e/parity/internal/trial"
)

func result(suite, name string, verdict trial.Verdict, note string) trial.Result {
	return trial.Result{Case: corpus.Case{Suite: suite, Name: name, Covers: "COPY | of <b>"}, Verdict: verdict, Note: note}
}

func results() []trial.Result {
	return []trial.Result{
		result(corpus.Reference, "a", trial.Same, ""),
		result(corpus.Reference, "b", trial.Refused, "line | one\nline two"),
		result(corpus.Wild, "a", trial.Same, "neither builds it: ref nc9wtmsideh6l2j028t27a98v::peu1a2e4c6jj2s7ktu8kov977 in /run/kiln-parity/x/12"),
		result(corpus.Kaniko, "c", trial.Differs, strings.Repeat("x", 500)),
		result(corpus.Limits, "d", trial.Differs, "lost"),
		both(result(corpus.Split, "e", trial.Same, ""), result(corpus.Split, "e", trial.Refused, "no --parents")),
	}
}

// both is the result of a case that was built in both ways.
func both(got, whole trial.Result) trial.Result {
	got.Split, got.Whole = true, &whole
	return got
}

// other are the results of another flavor: one as above, one that differs in more
// than is named, and the rest not run.
func other() expected.Results {
	return expected.Results{
		"reference/a": {Verdict: trial.Same},
		"reference/b": {Verdict: trial.Differs, Differences: []string{"/a: mode", "/b: mode", "/c: mode", "/d: mode", "/e: mode"}},
		"wild/a":      {Verdict: trial.Same},
		"limits/d":    {Verdict: trial.Same},
		"split/e":     {Verdict: trial.Refused},
	}
}

func write(t *testing.T, results []trial.Result) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "doc.md")
	if err := os.WriteFile(file, []byte("before\n"+begin+"\nold\n"+end+"\nafter\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Write(file, results, other()); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestWrite(t *testing.T) {
	data, err := os.ReadFile(write(t, results()))
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for _, want := range []string{
		"before\n" + begin, end + "\nafter\n",
		"| The Dockerfile reference | 1 | 1 | 0 | 1 | 1 | 0 |", "| all | 3 | 1 | 1 | 2 | 2 | 1 |",
		"| `b` | COPY \\| of &lt;b> | refused | - | line \\| one line two |\n",
		"| `e` | COPY \\| of &lt;b> | same | refused | built whole: no --parents |\n",
		"### With osscontainertools\n\n| Dockerfiles, built whole | same | refused | differs |\n|---|---|---|---|\n| The Dockerfile reference | 1 | 0 | 1 |\n",
		"|---|---|---|---|\n| reference/b | refused | differs | /a: mode, /b: mode, /c: mode, and 2 more |\n" +
			"| kaniko/c | differs | not run |  |\n| limits/d | differs | same |  |\n",
		"neither builds it: ref … in … |", "| `d` | COPY \\| of &lt;b> | differs | - | lost |\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the document lacks %q", want)
		}
	}
	if strings.Contains(text, "old") {
		t.Error("the document still has the old results")
	}
}

func TestCheck(t *testing.T) {
	file := write(t, results())
	changed := results()
	changed[1].Verdict = trial.Same
	changed[4].Verdict = trial.Same
	changed[5] = both(changed[5], result(corpus.Split, "e", trial.Same, ""))
	once := results()[5]
	once.Whole = nil
	cut := both(results()[0], results()[0])
	changed = append(changed, result(corpus.Wild, "new", trial.Same, ""))
	for name, tc := range map[string]struct {
		results []trial.Result
		want    []string
	}{
		"the same": {results(), nil},
		"some":     {results()[2:3], nil},
		"once":     {[]trial.Result{once}, nil},
		"cut":      {[]trial.Result{cut}, []string{"reference/a is same built whole, and the document says -"}},
		"changed": {changed, []string{
			"reference/b is same, and the document says refused",
			"limits/d is same, and the document says differs",
			"split/e is same built whole, and the document says refused",
			"wild/new is same and not in the document: run make parity",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			wrong, err := Check(file, tc.results)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, wrong); diff != "" {
				t.Errorf("Check (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMarksAreMissing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "doc.md")
	if err := os.WriteFile(file, []byte("no marks\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Write(file, results(), nil); err == nil {
		t.Error("Write into a document without marks succeeded")
	}
	if _, err := Check(file, results()); err == nil {
		t.Error("Check of a document without marks succeeded")
	}
}
