package workerlog_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"kiln/internal/workerlog"
)

// job is a worker's log with a message that has those services.
func job(services string) string {
	return "[2026-11-28 10:00:00Z INFO HostContext] Well known directory 'Bin'\n" +
		"[2026-11-28 10:00:01Z INFO Worker] Job message:\n {\n  \"mask\": [{\"value\": \"***\"}],\n  \"jobContainer\": null,\n" +
		"  \"jobServiceContainers\": " + services + ",\n  \"steps\": [{\"type\": \"action\", \"id\": \"***\"}]\n}\n" +
		"[2026-11-28 10:00:02Z INFO JobRunner] Starting the job\n"
}

const (
	bare  = `{"type": 2, "file": 1, "map": [{"Key": "redis", "Value": {"type": 2, "map": [{"Key": "image", "Value": "redis:7"}]}}, {"Key": "db", "Value": "postgres"}]}`
	typed = `{"type": 2, "map": [{"Key": {"type": 0, "lit": "psql-a"}, "Value": {"type": 2, "map": [{"Key": {"type": 0, "lit": "image"}, "Value": {"type": 3, "expr": "matrix.image"}}]}}, {"Key": {"type": 0, "lit": "psql-b"}, "Value": {"type": 0, "lit": "postgres"}}]}`
	// The runner does not start the first one, and it cannot be told whether the second.
	skipped = `{"type": 2, "map": [{"Key": "none", "Value": {"type": 2, "map": [{"Key": "image", "Value": ""}]}}, {"Key": "maybe", "Value": {"type": 3, "expr": "x"}}, {"Key": "there", "Value": "redis"}]}`
)

func TestServices(t *testing.T) {
	newer, older := "Worker_20261128-100000-utc.log", "Worker_20261127-235959-utc.log"
	for name, tt := range map[string]struct {
		files map[string]string
		want  []string
		count int
	}{
		"bare strings":         {map[string]string{newer: job(bare)}, []string{"redis", "db"}, 2},
		"tokens":               {map[string]string{newer: job(typed)}, []string{"psql-a", "psql-b"}, 2},
		"an empty image":       {map[string]string{newer: job(skipped)}, []string{"maybe", "there"}, 2},
		"an empty image more":  {map[string]string{newer: job(skipped)}, nil, 1},
		"another count":        {map[string]string{newer: job(bare)}, nil, 3},
		"one expression":       {map[string]string{newer: job(`{"type": 3, "expr": "fromJSON(x)"}`)}, nil, 2},
		"a name of expression": {map[string]string{newer: job(`{"type": 2, "map": [{"Key": {"type": 3, "expr": "x"}, "Value": "redis"}]}`)}, nil, 1},
		"no services":          {map[string]string{newer: job(`null`)}, nil, 1},
		"the newest job":       {map[string]string{older: job(bare), newer: job(typed)}, []string{"psql-a", "psql-b"}, 2},
		"a later page":         {map[string]string{older: job(bare), newer: "[2026-11-28 10:00:01Z INFO Worker] on it goes\n"}, []string{"redis", "db"}, 2},
		"the last message":     {map[string]string{newer: job(typed) + job(bare)}, []string{"redis", "db"}, 2},
		"in a title":           {map[string]string{newer: strings.Replace(job(bare), `"***"}]`, `"***"}], "title": "[x] Job message:", "body": "] Job message:"`, 1)}, []string{"redis", "db"}, 2},
		"cut off":              {map[string]string{newer: job(bare)[:200]}, nil, 2},
		"numbers":              {map[string]string{newer: job(`{"type": 2, "map": [{"Key": 7, "Value": 8}, {"Key": null, "Value": true}]}`)}, nil, 2},
		"another log":          {map[string]string{"Runner_20261128-100000-utc.log": job(bare)}, nil, 2},
		"deep":                 {map[string]string{newer: job(strings.Repeat(`{"type": 2, "map": [{"Key": "a", "Value": `, 20_000))}, nil, 1},
		"nothing":              {nil, nil, 1},
	} {
		dir := t.TempDir()
		for file, text := range tt.files {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := workerlog.Services(dir, tt.count); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// TestOddFiles passes over what is no file, and does not wait for it.
func TestOddFiles(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{
		syscall.Mkfifo(path("Worker_4.log"), 0o600),
		os.Mkdir(path("Worker_3.log"), 0o700),
		os.Symlink("Worker_1.log", path("Worker_2.log")),
		os.WriteFile(path("Worker_1.log"), []byte(job(typed)), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := workerlog.Services(dir, 2); !slices.Equal(got, []string{"psql-a", "psql-b"}) {
		t.Errorf("%q", got)
	}
	if got := workerlog.Services(path("none"), 1); got != nil {
		t.Errorf("%q of no directory", got)
	}
}

func FuzzServices(f *testing.F) {
	for _, seed := range []string{bare, typed, skipped, "{", `{"type":2,"map":[null]}`} {
		f.Add([]byte(job(seed)))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, log []byte) {
		if err := os.WriteFile(filepath.Join(dir, "Worker_1.log"), log, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := workerlog.Services(dir, 2); got != nil && len(got) != 2 {
			t.Errorf("%d names, and 2 were asked for", len(got))
		}
	})
}
