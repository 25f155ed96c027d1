package doctor

import (
	"strings"
	"unicode"
)

// Status is what a check came to.
type Status string

// The statuses, from good to bad. Skip is what could not be looked at.
const (
	OK   Status = "ok"
	Skip Status = "skip"
	Warn Status = "warn"
	Fail Status = "fail"
)

// Finding is one thing that a check saw.
type Finding struct {
	// Check is the name of the check.
	Check string `json:"check"`
	// Status is OK, Skip, Warn or Fail.
	Status Status `json:"status"`
	// Seen is what was seen, in one line.
	Seen string `json:"seen"`
	// Mend is what to do about it, in one line; empty where there is nothing
	// to do.
	Mend string `json:"mend,omitempty"`
}

// Report is the outcome of an examination.
type Report struct {
	// Version is that of this form; fields may be added without a new one.
	Version int `json:"version"`
	// Place is where was looked from.
	Place Place `json:"place"`
	// Namespace is the one of the runner pods, and Pod the one that was looked
	// from, if any.
	Namespace string `json:"namespace"`
	Pod       string `json:"pod,omitempty"`
	// Faults and Warnings count the findings of status Fail and Warn.
	Faults   int `json:"faults"`
	Warnings int `json:"warnings"`
	// Findings are in the order of the checks, each with one at least.
	Findings []Finding `json:"findings"`
}

// Count returns how many findings have that status.
func (r Report) Count(status Status) int {
	count := 0
	for _, finding := range r.Findings {
		if finding.Status == status {
			count++
		}
	}
	return count
}

func one(status Status, seen, mend string) []Finding {
	return []Finding{{Status: status, Seen: seen, Mend: mend}}
}

func ok(seen string) []Finding         { return one(OK, seen, "") }
func skip(why string) []Finding        { return one(Skip, why, "") }
func warn(seen, mend string) []Finding { return one(Warn, seen, mend) }
func fail(seen, mend string) []Finding { return one(Fail, seen, mend) }

// orOK returns the findings, or that all is well.
func orOK(findings []Finding, seen string) []Finding {
	if len(findings) == 0 {
		return ok(seen)
	}
	return findings
}

// worst is the worst status among findings.
func worst(findings []Finding) Status {
	rank := map[Status]int{OK: 0, Skip: 1, Warn: 2, Fail: 3}
	found := OK
	for _, finding := range findings {
		if rank[finding.Status] > rank[found] {
			found = finding.Status
		}
	}
	return found
}

// maxText bounds the texts of a finding, in bytes.
const maxText = 1500

// oneLine makes text of foreign hands, as those of registries and containers,
// fit for a terminal.
func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + " …"
	}
	return text
}
