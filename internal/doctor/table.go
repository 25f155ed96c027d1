package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Table writes the report for people: a line for each finding and one below it
// for what to do.
func (r Report) Table(w io.Writer) error {
	var out strings.Builder
	width := len("CHECK")
	for _, finding := range r.Findings {
		width = max(width, len(finding.Check))
	}
	fmt.Fprintf(&out, "%-*s  %-4s  %s\n", width, "CHECK", "", "SEEN")
	for _, finding := range r.Findings {
		status := string(finding.Status)
		if finding.Status == Fail {
			status = "FAIL"
		}
		fmt.Fprintf(&out, "%-*s  %-4s  %s\n", width, finding.Check, status, finding.Seen)
		if finding.Mend != "" {
			fmt.Fprintf(&out, "%*s  →     %s\n", width, "", finding.Mend)
		}
	}
	fmt.Fprintf(&out, "\n%s, %s, %d skipped, %d ok: %s\n",
		count(r.Faults, "fault"), count(r.Warnings, "warning"), r.Count(Skip), r.Count(OK), r.where())
	_, err := io.WriteString(w, out.String())
	return err
}

// where says what was examined.
func (r Report) where() string {
	if r.Pod != "" {
		return fmt.Sprintf("pod %s/%s", r.Namespace, r.Pod)
	}
	return "namespace " + r.Namespace
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// JSON writes the report for programs.
func (r Report) JSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}
