package preflight

import (
	"bytes"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// FuzzMeasure shows that nothing is refused for more instructions than
// the parser finds, and that no heredoc is overlooked.
func FuzzMeasure(f *testing.F) {
	for _, seed := range []string{
		"FROM a\nRUN x \\\n\n# c\n y\nRUN <<A <<-B z\nRUN 1\nA\n\tB\nONBUILD COPY <<'E' /\nRUN\nE\n",
		"# escape=`\nFROM a\nRUN a `\n b\nRUN c\\\nRUN d``\nRUN e\n",
		"\ufeffFROM a\r\nRUN <<E\r\nx\r\nE\r\nCMD x",
		"\ufeff\nFROM a\n",
		"FROM a\nRUN cat <<\"E\\\n  F\"\nE  F\nCOPY\v<\\\n<#\n#\nONBUILD --x ADD ${a:-<}<E\nE\n",
		"# escape=`\nFROM a\nRUN --a=b` <<E [\"x\"]\nRUN x\n",
		"FROM a\nLABEL x=<<E\nE 1\nRUN cat 3<<E \"<<F\"\nE\nRUN \\",
	} {
		f.Add([]byte(seed))
	}
	for _, row := range Table() {
		f.Add([]byte(row.Example))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		result, err := parser.Parse(bytes.NewReader(data))
		if err != nil {
			return
		}
		z := measure(data)
		counted, heredocs := z.instructions, z.heredocs
		if found := len(result.AST.Children); counted > found {
			t.Errorf("counted %d instructions of %d", counted, found)
		}
		found := 0
		for _, node := range result.AST.Children {
			found += len(node.Heredocs)
		}
		if heredocs < min(found, maxHeredocs) {
			t.Errorf("counted %d heredocs of %d", heredocs, found)
		}
	})
}
