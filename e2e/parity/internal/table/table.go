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
		{corpus.Split, "What a split could get wrong"},
	}
}

// Render returns the results as Markdown, and in short those of another flavor.
func Render(results []trial.Result, other expected.Results) string {
	var out strings.Builder
	out.WriteString("| Dockerfiles | same | refused | differs | built whole: same | refused | differs |\n|---|---|---|---|---|---|---|\n")
	counts(&out, results, func(r trial.Result) trial.Verdict { return r.Verdict }, func(r trial.Result) trial.Verdict { return asOne(r).Verdict })
	for _, s := range suites() {
		rows(&out, s.title, of(results, s.name))
	}
	rows(&out, "Outside the table", of(results, corpus.Limits))
	short(&out, results, other)
	return out.String()
}

// rows writes results below a heading.
func rows(out *strings.Builder, title string, results []trial.Result) {
	fmt.Fprintf(out, "\n### %s\n\n| Dockerfile | about | result | built whole | note |\n|---|---|---|---|---|\n", title)
	for _, r := range results {
		fmt.Fprintf(out, "| `%s` | %s | %s | %s | %s |\n", r.Case.Name, cell(r.Case.Covers), r.Verdict, whole(r), cell(note(r)))
	}
}

// asOne is a result of the build as one, which a run of all cases has of each.
func asOne(r trial.Result) trial.Result {
	one, _ := r.AsOne()
	return one
}

// whole is the verdict on the build as one, where that is another build.
func whole(r trial.Result) string {
	if one, built := r.AsOne(); r.Split && built {
		return string(one.Verdict)
	}
	return alike
}

// alike stands where a Dockerfile is not split, so that the result is that of the whole.
const alike = "-"

// counts writes how many Dockerfiles of each suite have each verdict, for each of some
// ways to look at them.
func counts(out *strings.Builder, results []trial.Result, looks ...func(trial.Result) trial.Verdict) {
	total := make([]map[trial.Verdict]int, len(looks))
	for i := range total {
		total[i] = map[trial.Verdict]int{}
	}
	for _, s := range suites() {
		each := make([]map[trial.Verdict]int, len(looks))
		for i, verdict := range looks {
			each[i] = map[trial.Verdict]int{}
			for _, r := range of(results, s.name) {
				each[i][verdict(r)]++
				total[i][verdict(r)]++
			}
		}
		line(out, s.title, each)
	}
	line(out, "all", total)
}

// maxNames bounds the differences that one row names.
const maxNames = 3

// short writes the results of the other flavor: the counts, and each that is not
// the one above.
func short(out *strings.Builder, results []trial.Result, other expected.Results) {
	out.WriteString("\n### " + otherTitle + "\n\n")
	out.WriteString("| Dockerfiles, built whole | same | refused | differs |\n|---|---|---|---|\n")
	counts(out, results, func(r trial.Result) trial.Verdict { return other[r.Case.ID()].Verdict })
	out.WriteString("\nWhere the result of a build as one is another than above:\n\n| Dockerfile | chainguard | osscontainertools | differs in |\n|---|---|---|---|\n")
	for _, r := range results {
		o, r := other[r.Case.ID()], asOne(r)
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

func line(out *strings.Builder, title string, counts []map[trial.Verdict]int) {
	fmt.Fprintf(out, "| %s |", title)
	for _, c := range counts {
		fmt.Fprintf(out, " %d | %d | %d |", c[trial.Same], c[trial.Refused], c[trial.Differs])
	}
	out.WriteString("\n")
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

// note is the note on a result, or on that of the build as one.
func note(r trial.Result) string {
	text := r.Note
	if one, built := r.AsOne(); text == "" && built && one.Note != "" {
		text = "built whole: " + one.Note
	}
	return made.ReplaceAllString(text, "…")
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
		one := trial.Verdict(whole(r))
		switch {
		case !found:
			wrong = append(wrong, fmt.Sprintf("%s is %s and not in the document: run make parity", r.Case.ID(), r.Verdict))
		case want.result != r.Verdict:
			wrong = append(wrong, fmt.Sprintf("%s is %s, and the document says %s", r.Case.ID(), r.Verdict, want.result))
		case r.Whole != nil && want.whole != one:
			wrong = append(wrong, fmt.Sprintf("%s is %s built whole, and the document says %s", r.Case.ID(), one, want.whole))
		case r.Split != (want.whole != alike):
			wrong = append(wrong, fmt.Sprintf("%s is split: %t, and the document says something else", r.Case.ID(), r.Split))
		}
	}
	return wrong, nil
}

// row is what the document says of a case: the verdict, and that on the build as one.
type row struct {
	result, whole trial.Verdict
}

// parse reads the rows of a document by the cases' identifiers.
func parse(text string) map[string]row {
	known := map[string]row{}
	at := ""
	for text := range strings.Lines(text) {
		if heading, found := strings.CutPrefix(text, "### "); found {
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
		cells := strings.Split(text, " | ")
		name, quoted := strings.CutPrefix(cells[0], "| `")
		if at == "" || !quoted || len(cells) < 4 {
			continue
		}
		known[at+"/"+strings.TrimSuffix(name, "`")] = row{trial.Verdict(cells[2]), trial.Verdict(cells[3])}
	}
	return known
}
