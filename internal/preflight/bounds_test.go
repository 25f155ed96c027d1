package preflight_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"kiln/internal/preflight"
)

// maxAllocated bounds all that reading one Dockerfile ever allocates, which is
// more than it holds at any moment.
const maxAllocated = 32 << 20

// series joins n lines that a format makes of their number and the next one.
func series(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i, i+1)
	}
	return b.String()
}

// doubling are ARGs that would take 1.7 GB without a bound.
func doubling() string {
	return "ARG A0=" + strings.Repeat("x", 100) + "\n" + series(24, "ARG A%[2]d=${A%[1]d}${A%[1]d}\n")
}

// deep is a chain of stages in which every one has the given instruction.
func deep(instruction string) string {
	return "FROM a AS other\nARG X=1\nFROM a AS s0\nCOPY --from=other /x /x\n" +
		series(480, "FROM s%[1]d AS s%[2]d\n"+strings.ReplaceAll(instruction, "%", "%%")+"\n")
}

// skipUnderRaceDetector skips a test of bounds: they are those of the programs as
// they are built, which make unit tries by themselves.
func skipUnderRaceDetector(t *testing.T) {
	t.Helper()
	if raceDetector {
		t.Skip("bounds are those of programs without the race detector")
	}
}

// What is beyond a bound is refused, and neither that nor what is just within
// takes memory.
func TestBounds(t *testing.T) {
	skipUnderRaceDetector(t)
	kilobyte := "ARG A=" + strings.Repeat("x", 1000) + "\n"
	for name, tt := range map[string]struct{ dockerfile, reason string }{
		"doubling":                  {doubling() + "FROM $A24\n", "longer than 4096 bytes"},
		"doubling in a stage":       {"FROM a\n" + doubling(), "longer than 4096 bytes"},
		"doubling ENV":              {"FROM a\n" + strings.ReplaceAll(doubling(), "ARG", "ENV"), "longer than 4096 bytes"},
		"many variables":            {kilobyte + "FROM " + strings.Repeat("$A", 30_000) + "\n", "longer than 4096 bytes"},
		"variables in one word":     {kilobyte + "FROM " + strings.Repeat("$A", 5) + "\n", "longer than 4096 bytes"},
		"discarded variables":       {kilobyte + "FROM ${A:+" + strings.Repeat("$A", 2000) + "}\n", "longer than 4096 bytes"},
		"nested replacements":       {kilobyte + "FROM ${A//x/${A//x/${A//x/y}}}\n", "more than one"},
		"one replacement":           {kilobyte + "FROM ${A//x/$A$A}\n", "longer than 4096 bytes"},
		"replacements in a stage":   {"FROM a\n" + kilobyte + "ENV B=${A//x/${A//x/${A//x/y}}}\nWORKDIR $B\n", ""},
		"many values":               {"ARG B=" + strings.Repeat("x", 4000) + "\nARG" + series(10_000, " \\\n  V%[1]d=$B") + "\nFROM a\n", "together"},
		"many values in a stage":    {"FROM a\nENV B=" + strings.Repeat("x", 4000) + "\nENV" + series(10_000, " \\\n  V%[1]d=$B") + "\n", "together"},
		"deep look-ups":             {deep("WORKDIR " + strings.Repeat("$A", 1000)), "too many variables or volumes"},
		"variables behind a volume": {"FROM a\nENV V=" + strings.Repeat("x", 4000) + "\nVOLUME /tmp\n" + series(990, "RUN echo %[1]d "+strings.Repeat("$V", 20)+"\n"), "(rule RunNamesVolume)"},
		"many volumes":              {"FROM a\nRUN " + strings.Repeat("x", 60_000) + "/v\nVOLUME" + strings.Repeat(" /v", 20_000) + "\n", "too many variables or volumes"},
		"deep command":              {deep("RUN " + strings.Repeat("$A", 1000)), ""},
		"instructions":              {"FROM a\n" + strings.Repeat("RUN x\n", 1000), "1001 instructions"},
		"as many as may be":         {"FROM a\n" + strings.Repeat("RUN x\n", 999), ""},
		"stages":                    {"FROM a AS s0\n" + series(999, "FROM s%[1]d AS s%[2]d\n"), ""},
		"one-letter instructions":   {"FROM a\n" + strings.Repeat("A\n", 520_000), "520001 instructions"},
		"after a heredoc":           {"FROM a\nRUN <<E\nx\nE\n" + strings.Repeat("A\n", 500_000), "500002 instructions"},
		"escaped escape":            {"FROM a\n" + strings.Repeat("A\\\\\n", 250_000), "250001 instructions"},
		"escaped by a backtick":     {"# escape=`\nFROM a\n" + strings.Repeat("A\\\n", 300_000), "300001 instructions"},
		"size":                      {"FROM a\n#" + strings.Repeat("x", 1<<20), "larger than"},
		"lines":                     {"FROM a\n" + strings.Repeat("#\n", 100_000), ""},
		"continued lines":           {"FROM a\nRUN x" + strings.Repeat("\\\n y", 100_000) + "\n", ""},
		"long line":                 {"FROM a\nRUN " + strings.Repeat("x ", 500_000) + "\n", "greater than max allowed size"},
		"long heredoc":              {"FROM a\nRUN cat <<EOF\n" + strings.Repeat("$A kaniko\n", 90_000) + "EOF\n", "does not run a heredoc"},
		"many heredocs":             {"FROM a\nRUN cat" + series(2000, " <<E%[1]d") + "\n" + series(2000, "E%[1]d\n"), ""},
		"many scripts":              {"FROM a\n" + series(990, "RUN <<E\n"+strings.Repeat("echo %[1]d && a\n", 25)+"E\n"), ""},
		"scripts that grow":         {"FROM a\n" + series(100, "RUN <<E%[1]d\n"+strings.Repeat("<>&\n", 2400)+"E%[1]d\n"), "does not run a heredoc alone"},
		"many documents":            {"FROM a\n" + series(990, "COPY <<E /a\n"+strings.Repeat("%[1]d\n", 250)+"E\n"), ""},
		"documents that grow":       {"FROM a\nARG A=" + strings.Repeat("x", 4000) + "\n" + series(990, "COPY <<E%[1]d /a\n"+strings.Repeat("$A", 15)+"\nE%[1]d\n"), "heredocs in COPY"},
		"documents at once":         {"FROM a\nCOPY" + series(60_000, " <<%[1]x\\\n") + " /a/\n" + series(60_000, "%[1]x\n"), "more than 2000 heredocs"},
		"documents apart":           {"FROM a\n" + series(990, "COPY"+strings.Repeat(" <<E%[1]d\\\n", 3)+" /a/\n"+strings.Repeat("E%[1]d\n", 3)), "more than 2000 heredocs"},
		"growing at once":           {"FROM a\nARG A=" + strings.Repeat("x", 4000) + "\nCOPY" + series(2000, " <<%[1]x\\\n") + " /a/\n" + series(2000, strings.Repeat("$A", 15)+"\n%[1]x\n"), "heredocs in COPY"},
		"behind a vertical tab":     {"FROM a\nCOPY\v" + strings.Repeat(" <<#\\\n", 60_000) + " /a/\n" + strings.Repeat("#\n", 60_000), "more than 2000 heredocs"},
		"behind a flag":             {"FROM a\nONBUILD --x COPY" + strings.Repeat(" <<#\\\n", 60_000) + " /a/\n" + strings.Repeat("#\n", 60_000), "more than 2000 heredocs"},
		"in two lines":              {"FROM a\nCOPY <<a" + strings.Repeat(" <\\\n<#", 60_000) + " /a/\na\n" + strings.Repeat("#\n", 60_000), "more than 2000 heredocs"},
		"by default values":         {"FROM a\nCOPY <<a" + strings.Repeat(" ${a:-<}<#\\\n", 50_000) + " /a/\na\n" + strings.Repeat("#\n", 50_000), "more than 2000 heredocs"},
		"name in two lines":         {"FROM a\nRUN cat <<\"E\\\n  F\"\nE  F\n" + strings.Repeat("A\n", 500_000), "500002 instructions"},
		"heredoc of a flag":         {"# escape=`\nFROM a\nRUN --a=b` <<E [\"x\"]\n" + strings.Repeat("A\n", 500_000), "500002 instructions"},
		"documents of triggers":     {"FROM a AS b\nONBUILD COPY" + series(1900, " <<%[1]x\\\n") + " /a/\n" + series(1900, "%[1]x\n") + strings.Repeat("FROM b\n", 40), "2000 heredocs"},
		"many triggers":             {"FROM a AS b\n" + strings.Repeat("ONBUILD RUN x\n", 30) + strings.Repeat("FROM b\n", 30), ""},
		"many words":                {"FROM a\nLABEL" + strings.Repeat(" a=\\\n", 200_000) + " b=c\n", "more than 20480 words"},
		"many words in JSON":        {"FROM a\nRUN [" + strings.Repeat("\"\",\\\n", 200_000) + "\"\"]\n", "more than 20480 words"},
		"as many words as may be":   {"FROM a\nLABEL" + strings.Repeat(" a=\\\n", 20_476) + " b=c\n", ""},
		"words of a command":        {"FROM a\nRUN" + strings.Repeat(" x\\\n", 200_000) + " y\n", ""},
		"words of triggers":         {"FROM a AS b\nONBUILD COPY" + strings.Repeat(" x\\\n", 5000) + " /a/\n" + strings.Repeat("FROM b\n", 30), ", 20480 words"},
		"sources of triggers":       {"FROM a AS u\nFROM a AS b\nONBUILD COPY --from=u" + strings.Repeat(" /y", 4000) + " /a/\nFROM b\nCOPY --from=u" + strings.Repeat(" /x", 4000) + " /y /a/\n", "too many variables or volumes"},
		"long document":             {"FROM a\nCOPY <<E /a\n" + strings.Repeat("$A kaniko\n", 90_000) + "E\n", "heredocs in COPY"},
		"nested in a document":      {"FROM a\nCOPY <<E /a\n" + strings.Repeat("${A:-", 10_000) + strings.Repeat("}", 10_000) + "\nE\n", "heredocs in COPY"},
		"many stages by number":     {"FROM a AS u\n" + series(498, "FROM a\nCOPY --from=%[1]d a /a\n") + "FROM a\n", ""},
		"nested defaults":           {"FROM a\nENV A=1\nWORKDIR " + strings.Repeat("${A:-", 650) + strings.Repeat("}", 650) + "\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			file, err := preflight.Parse("Dockerfile", []byte(tt.dockerfile))
			if err == nil {
				var report *preflight.Report
				if report, err = file.Report(preflight.Chainguard, nil); err == nil {
					_, err = report.Send(map[string]preflight.Base{"a": {}}, nil)
				}
			}
			runtime.ReadMemStats(&after)
			if file != nil {
				if _, other := file.Report(preflight.Osscontainertools, nil); other != nil {
					err = other
				}
			}
			bad, refused := errors.AsType[*preflight.Error](err)
			if refused != (tt.reason != "") || refused && !strings.Contains(bad.Reason, tt.reason) {
				t.Errorf("error = %.300v, want %q", err, tt.reason)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > maxAllocated {
				t.Errorf("allocated %d bytes", used)
			}
		})
	}
}
