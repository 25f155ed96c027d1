package preflight_test

import (
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kiln/internal/preflight"
)

// A file and its report are values: whatever is asked of them, by however many at
// once, they say the same again.
func TestFileIsShared(t *testing.T) {
	const dockerfile = "ARG V=1\nFROM a AS b\nONBUILD RUN --mount=type=cache,target=/$V true\nRUN mkfifo /p\nFROM b\nUSER 1:1\nWORKDIR /$V\nRUN <<E\nx\nE\nCOPY ../f /f\n"
	file, err := preflight.Parse("Dockerfile", []byte(dockerfile))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := preflight.Parse("Dockerfile", []byte("FROM a\nARG A=1\nRUN <<E\n$A\nE\nCOPY ../f /f\n"))
	if err != nil {
		t.Fatal(err)
	}
	context := preflight.Listed(contextOf(t, []string{"f"}))
	ask := func() []string {
		var said []string
		note := func(err error) {
			if err != nil {
				said = append(said, err.Error())
			}
		}
		for _, flavor := range flavors() {
			_, err := file.Report(flavor, context)
			note(err)
			_, err = plain.Above(flavor, context, map[string]preflight.Base{"a": {Triggers: []string{"ENV A=2", "RUN --mount=type=tmpfs,target=/$A true"}}})
			note(err)
			report, err := plain.Report(flavor, context)
			if err != nil {
				note(err)
				continue
			}
			sent, err := report.Send(map[string]preflight.Base{"a": {}}, nil)
			note(err)
			said = append(said, string(sent.Files[0].Content))
		}
		return said
	}
	want := ask()
	got := make([][]string, 4)
	var group sync.WaitGroup
	for i := range got {
		group.Go(func() { got[i] = ask() })
	}
	group.Wait()
	for _, said := range got {
		if diff := cmp.Diff(want, said); diff != "" {
			t.Errorf("the answers (-first +later):\n%s", diff)
		}
	}
	if len(want) < 6 {
		t.Errorf("the answers are %q", want)
	}
}
