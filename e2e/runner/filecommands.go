package runner

import (
	"fmt"
	"os"
	"strings"
)

// fileCommandPrefixes maps the variable that names a file command to the
// prefix of its file's name (FileCommandManager.cs).
func fileCommandPrefixes() map[string]string {
	return map[string]string{
		"GITHUB_ENV":          "set_env_",
		"GITHUB_OUTPUT":       "set_output_",
		"GITHUB_PATH":         "add_path_",
		"GITHUB_STATE":        "save_state_",
		"GITHUB_STEP_SUMMARY": "step_summary_",
	}
}

// readBack fills the report with the step's file commands and its response.
// A file that is gone counts as empty, since the worker treats it so.
func (w WorkFolder) readBack(s Step, r *Report) error {
	texts := map[string]string{}
	for name, prefix := range fileCommandPrefixes() {
		data, err := os.ReadFile(w.path(fileCommand(prefix, s)))
		if err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("read file command: %w", err)
		}
		texts[name] = string(data)
	}
	r.Summary = texts["GITHUB_STEP_SUMMARY"]
	r.Path = strings.Fields(texts["GITHUB_PATH"])
	var err error
	for _, into := range []struct {
		name string
		to   *map[string]string
	}{{"GITHUB_OUTPUT", &r.Outputs}, {"GITHUB_ENV", &r.Env}, {"GITHUB_STATE", &r.State}} {
		if *into.to, err = keyValues(texts[into.name]); err != nil {
			return fmt.Errorf("read %s: %w", into.name, err)
		}
	}
	response, err := os.ReadFile(w.path(responseFile(s)))
	if err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("read response: %w", err)
	}
	r.Response = string(response)
	return nil
}

// keyValues reads a file command's lines: name=value, or name<<DELIMITER, the
// value's lines, DELIMITER.
func keyValues(text string) (map[string]string, error) {
	out := map[string]string{}
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		line := strings.TrimSuffix(lines[i], "\r")
		equals, heredoc := strings.Index(line, "="), strings.Index(line, "<<")
		switch {
		case line == "":
		case equals >= 0 && (heredoc < 0 || equals < heredoc):
			out[line[:equals]] = line[equals+1:]
		case heredoc >= 0:
			value, used, ok := untilDelimiter(lines[i+1:], line[heredoc+2:])
			if !ok {
				return nil, fmt.Errorf("delimiter %q of %q is missing", line[heredoc+2:], line[:heredoc])
			}
			out[line[:heredoc]] = value
			i += used
		default:
			return nil, fmt.Errorf("line %q is neither name=value nor name<<delimiter", line)
		}
	}
	return out, nil
}

// untilDelimiter returns the lines before the delimiter, and how many lines
// value and delimiter take.
func untilDelimiter(lines []string, delimiter string) (value string, used int, ok bool) {
	for i, line := range lines {
		if line == delimiter {
			return strings.Join(lines[:i], "\n"), i + 1, true
		}
	}
	return "", 0, false
}
