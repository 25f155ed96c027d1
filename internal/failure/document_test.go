package failure_test

import (
	"fmt"
	"os"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kiln/internal/failure"
)

// The table for people has a row for each reason, in the same order, and says
// what the code says.
func TestDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/failures.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| [^|]+ \\| (\\w+) \\| ([^|]+) \\| (yes|no) \\|$")
	var got, want []string
	for _, cells := range row.FindAllStringSubmatch(string(text), -1) {
		got = append(got, fmt.Sprintf("%q", cells[1:]))
	}
	for _, r := range failure.Reasons() {
		retried := map[bool]string{true: "yes", false: "no"}[r.Retry()]
		want = append(want, fmt.Sprintf("%q", []string{string(r), string(r.Actor()), r.Hint(), retried}))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/failures.md differs from the code (-code +document):\n%s", diff)
	}
}
