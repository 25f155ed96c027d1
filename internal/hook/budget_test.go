package hook_test

import (
	"runtime"
	"strings"
	"testing"

	"kiln/internal/hook"
)

// TestBounds: what a step takes to decode stays near its size, whatever 4 MiB of
// JSON hold.
func TestBounds(t *testing.T) {
	const size = 4 << 20
	fill := func(head, unit, tail string) string {
		return head + strings.Repeat(unit, (size-len(head)-len(tail))/len(unit)) + tail
	}
	for name, tt := range map[string]struct{ args, says string }{
		"mounts":          {fill(`{"systemMountVolumes":[{}`, `,{}`, `]}`), "more than 50000 values"},
		"user mounts":     {fill(`{"userMountVolumes":[{}`, `,{}`, `]}`), "more than 50000 values"},
		"variables":       {fill(`{"environmentVariables":{"":""`, `,"":""`, `}}`), "more than 50000 values"},
		"null variables":  {fill(`{"environmentVariables":{"":null`, `,"":null`, `}}`), "more than 50000 values"},
		"arguments":       {fill(`{"entryPointArgs":[""`, `,""`, `]}`), "more than 50000 values"},
		"ports":           {fill(`{"portMappings":[""`, `,""`, `]}`), "more than 50000 values"},
		"unknown":         {fill(`{"x":[0`, `,0`, `]}`), "more than 50000 values"},
		"one field often": {fill(`{"image":"a"`, `,"userMountVolumes":[]`, `}`), "more than 50000 values"},
		"deep":            {fill("", "[", ""), "more than 50000 values"},
		"behind escapes":  {fill(`{"image":"\\","userMountVolumes":[{}`, `,{}`, `]}`), "more than 50000 values"},
		"fewer mounts":    {fill(`{"image":"a","systemMountVolumes":[{}`, `,{`+strings.Repeat(" ", 280)+`}`, `]}`), "can have at most 256"},
		"commas in text":  {fill(`{"image":"a","entryPointArgs":["`, `,[{:`, `"]}`), ""},
		"a long variable": {fill(`{"image":"a","environmentVariables":{"A":"`, `x`, `"}}`), ""},
		"escaped":         {fill(`{"image":"a","environmentVariables":{"A":"`, `\u0022`, `"}}`), ""},
	} {
		t.Run(name, func(t *testing.T) {
			in := hook.Input{Command: hook.RunContainerStep, Args: []byte(tt.args)}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := in.Container()
			runtime.ReadMemStats(&after)
			if (err != nil) != (tt.says != "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error = %.300v, want %q", err, tt.says)
			}
			if took := after.TotalAlloc - before.TotalAlloc; took > 6*size {
				t.Errorf("decoding took %d MiB", took>>20)
			}
		})
	}
}
