// Package table keeps the results of a run in a Markdown document.
//
// The document's text is written by hand; what stands between the two marks is
// replaced. Results of one corpus make the same text every time: times and the
// names that a run makes up are no part of it.
package table

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"kiln/e2e/parity/internal/corpus"
	"kiln/e2e/parity/internal/expected"
	"kiln/e2e/parity/internal/trial"
)

// The marks.
const (
	begin = "<!-- results: made by `make parity` -->"
	end   = "<!-- end of results -->"
)

// otherTitle is the heading of the results in short.
const otherTitle = "With osscontainertools"

// suite is a part of the results with a heading.
type suite struct {
	name, title string
}

// suites are those that count.
func suites() []suite {
	return []suite{
		{corpus.Reference, "The Dockerfile reference"},
		{corpus.Wild, "Constructs of published actions"},
		{corpus.Kaniko, "Kaniko's integration tests"},
	}
}

// Render returns the results as Markdown, and in short those of another flavor.
func Render(results []trial.Result, other expected.Results) string {
	var out strings.Builder
	counts(&out, results, func(r trial.Result) trial.Verdict { return r.Verdict })
	for _, s := range suites() {
		fmt.Fprintf(&out, "\n### %s\n\n| Dockerfile | about | result | note |\n|---|---|---|---|\n", s.title)
		for _, r := range of(results, s.name) {
			fmt.Fprintf(&out, "| `%s` | %s | %s | %s |\n", r.Case.Name, cell(r.Case.Covers), r.Verdict, cell(note(r)))
		}
	}
	out.WriteString("\n### Outside the table\n\n| Dockerfile | about | result | what happens |\n|---|---|---|---|\n")
	for _, r := range of(results, corpus.Limits) {
		fmt.Fprintf(&out, "| `%s` | %s | %s | %s |\n", r.Case.Name, cell(r.Case.Covers), r.Verdict, cell(note(r)))
	}
	short(&out, results, other)
	return out.String()
}

// counts writes how many Dockerfiles of each suite have each verdict.
func counts(out *strings.Builder, results []trial.Result, verdict func(trial.Result) trial.Verdict) {
	out.WriteString("| Dockerfiles | same | refused | differs |\n|---|---|---|---|\n")
	total := map[trial.Verdict]int{}
	for _, s := range suites() {
		counts := map[trial.Verdict]int{}
		for _, r := range of(results, s.name) {
			counts[verdict(r)]++
			total[verdict(r)]++
		}
		line(out, s.title, counts)
	}
	line(out, "all", total)
}

// maxNames bounds the differences that one row names.
const maxNames = 3

// short writes the results of the other flavor: the counts, and each that is not
// the one above.
func short(out *strings.Builder, results []trial.Result, other expected.Results) {
	out.WriteString("\n### " + otherTitle + "\n\n")
	counts(out, results, func(r trial.Result) trial.Verdict { return other[r.Case.ID()].Verdict })
	out.WriteString("\nWhere a result is another than above:\n\n| Dockerfile | chainguard | osscontainertools | differs in |\n|---|---|---|---|\n")
	for _, r := range results {
		o := other[r.Case.ID()]
		if o.Verdict == r.Verdict && (o.Verdict != trial.Differs || slices.Equal(o.Differences, r.Differences)) {
			continue
		}
		names := o.Differences[:min(len(o.Differences), maxNames)]
		text := strings.Join(names, ", ")
		if more := len(o.Differences) - len(names); more > 0 {
			text += fmt.Sprintf(", and %d more", more)
		}
		fmt.Fprintf(out, "| %s | %s | %s | %s |\n", r.Case.ID(), r.Verdict, cmp.Or(string(o.Verdict), "not run"), cell(text))
	}
}

func line(out *strings.Builder, title string, counts map[trial.Verdict]int) {
	fmt.Fprintf(out, "| %s | %d | %d | %d |\n", title, counts[trial.Same], counts[trial.Refused], counts[trial.Differs])
}

func of(results []trial.Result, suite string) []trial.Result {
	var chosen []trial.Result
	for _, r := range results {
		if r.Case.Suite == suite {
			chosen = append(chosen, r)
		}
	}
	return chosen
}

// made finds what a run makes up: BuildKit's references of layers, digests, and
// paths of the run's own directory.
var made = regexp.MustCompile(`[a-z0-9]{25}::[a-z0-9]{25}|sha256:[0-9a-f]{64}|/run/kiln-parity\S*`)

func note(r trial.Result) string {
	return made.ReplaceAllString(r.Note, "…")
}

// maxCell keeps a row readable, in bytes.
const maxCell = 240

// cell writes a text into one cell.
func cell(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxCell {
		text = strings.ToValidUTF8(text[:maxCell], "") + "…"
	}
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "*", `\*`, "_", `\_`).Replace(text)
}

// Write puts the results into the document.
func Write(file string, results []trial.Result, other expected.Results) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read the document: %w", err)
	}
	before, _, after, err := split(string(data))
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	text := before + begin + "\n\n" + Render(results, other) + "\n" + end + after
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return fmt.Errorf("write the document: %w", err)
	}
	return nil
}

func split(text string) (before, results, after string, err error) {
	before, rest, found := strings.Cut(text, begin)
	results, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		return "", "", "", errors.New("the marks of the results are missing")
	}
	return before, results, after, nil
}

// Check compares results with the document and returns a line for each that is
// not what the document says.
func Check(file string, results []trial.Result) ([]string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the document: %w", err)
	}
	_, text, _, err := split(string(data))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	known := parse(text)
	var wrong []string
	for _, r := range results {
		want, found := known[r.Case.ID()]
		switch {
		case !found:
			wrong = append(wrong, fmt.Sprintf("%s is %s and not in the document: run make parity", r.Case.ID(), r.Verdict))
		case want != r.Verdict:
			wrong = append(wrong, fmt.Sprintf("%s is %s, and the document says %s", r.Case.ID(), r.Verdict, want))
		}
	}
	return wrong, nil
}

// parse reads the verdicts of a document by the cases' identifiers.
func parse(text string) map[string]trial.Verdict {
	known := map[string]trial.Verdict{}
	at := ""
	for row := range strings.Lines(text) {
		if heading, found := strings.CutPrefix(row, "### "); found {
			at = corpus.Limits
			if strings.TrimSpace(heading) == otherTitle {
				break
			}
			for _, s := range suites() {
				if strings.TrimSpace(heading) == s.title {
					at = s.name
				}
			}
		}
		cells := strings.Split(row, " | ")
		name, quoted := strings.CutPrefix(cells[0], "| `")
		if at == "" || !quoted || len(cells) < 3 {
			continue
		}
		id := at + "/" + strings.TrimSuffix(name, "`")
		known[id] = trial.Verdict(cells[2])
	}
	return known
}
