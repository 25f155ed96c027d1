package agent

import (
	"os"
	"path/filepath"
	"testing"
)

// TestMemory: both versions of control groups, and what says nothing.
func TestMemory(t *testing.T) {
	for name, tt := range map[string]struct {
		files         map[string]string
		killed, limit uint64
	}{
		"version 2":           {map[string]string{"memory.events": "low 0\noom 3\noom_kill 2\noom_group_kill 1\n", "memory.max": "134217728\n"}, 2, 134217728},
		"version 2, no limit": {map[string]string{"memory.events": "oom_kill 0\n", "memory.max": "max\n"}, 0, 0},
		"version 1":           {map[string]string{"memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n", "memory/memory.limit_in_bytes": "4096\n"}, 1, 4096},
		"version 1, no limit": {map[string]string{"memory/memory.oom_control": "oom_kill 1\n", "memory/memory.limit_in_bytes": "9223372036854771712\n"}, 1, 0},
		"an old kernel":       {map[string]string{"memory/memory.oom_control": "under_oom 0\n"}, 0, 0},
		"nonsense":            {map[string]string{"memory.events": "oom_kill x\n", "memory.max": "-1"}, 0, 0},
		"nothing":             {nil, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for file, text := range tt.files {
				path := filepath.Join(root, file)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if killed, limit := readKilled(root), readLimit(root); killed != tt.killed || limit != tt.limit {
				t.Errorf("%d were killed, and the limit is %d, want %d and %d", killed, limit, tt.killed, tt.limit)
			}
		})
	}
}
