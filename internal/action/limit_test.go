package action_test

import (
	"strings"
	"testing"

	"kiln/internal/action"
	"kiln/internal/failure"
)

// TestLimitsOfLinux: what no program can be given is refused, and named.
func TestLimitsOfLinux(t *testing.T) {
	const most = 128<<10 - 1
	for name, tt := range map[string]struct {
		variable  string
		arguments []string
		says      string
	}{
		"largest variable":   {strings.Repeat("x", most-len("LARGE=")), nil, ""},
		"too large variable": {strings.Repeat("x", most-len("LARGE=")+1), nil, "the environment variable LARGE has 131072 bytes with its name"},
		"largest argument":   {"", []string{strings.Repeat("x", most)}, ""},
		"too large argument": {"", []string{"a", strings.Repeat("x", most+1)}, "argument 2 of the step has 131072 bytes"},
		"many arguments":     {"", strings.Fields(strings.Repeat(strings.Repeat("x", 1023)+" ", 513)), "the arguments of the step have 524799 bytes together"},
		"dollars":            {"", strings.Fields(strings.Repeat(strings.Repeat("$", 1023)+" ", 257)), "together"},
	} {
		t.Run(name, func(t *testing.T) {
			s := step()
			s.Container.EnvironmentVariables = map[string]string{"LARGE": tt.variable}
			s.Container.EntryPointArgs = tt.arguments
			_, err := action.Job(s)
			if err == nil {
				_, _, err = action.Secret(s)
			}
			if (err != nil) != (tt.says != "") || err != nil && (!strings.Contains(err.Error(), tt.says) || failure.Of(err) != failure.BadRequest) {
				t.Errorf("error = %q %v, want %q", failure.Of(err), err, tt.says)
			}
		})
	}
}
