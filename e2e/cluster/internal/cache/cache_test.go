package cache_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"kiln/e2e/cluster/internal/cache"
)

func TestKeyFramesItsParts(t *testing.T) {
	if cache.Key("ab", "c") == cache.Key("a", "bc") {
		t.Error("moving a byte between parts keeps the key")
	}
	parts := []string{"a", "b"}
	if cache.Key(parts...) != cache.Key("a", "b") {
		t.Error("equal parts give different keys")
	}
}

func TestFilesKey(t *testing.T) {
	key := func(files map[string]string) string {
		root := t.TempDir()
		for name, content := range files {
			if err := os.WriteFile(filepath.Join(root, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		key, err := cache.FilesKey(root, "*.go", "go.mod")
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	base := key(map[string]string{"a.go": "1", "go.mod": "m"})
	tests := map[string]struct {
		files map[string]string
		same  bool
	}{
		"another directory, the same files": {map[string]string{"a.go": "1", "go.mod": "m"}, true},
		"a file that does not count":        {map[string]string{"a.go": "1", "go.mod": "m", "README": "x"}, true},
		"a test more":                       {map[string]string{"a.go": "1", "a_test.go": "t", "go.mod": "m"}, true},
		"another content":                   {map[string]string{"a.go": "2", "go.mod": "m"}, false},
		"another name":                      {map[string]string{"b.go": "1", "go.mod": "m"}, false},
		"one file more":                     {map[string]string{"a.go": "1", "b.go": "", "go.mod": "m"}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if same := key(tt.files) == base; same != tt.same {
				t.Errorf("same key: %t, want %t", same, tt.same)
			}
		})
	}
}

func TestGetBuildsOnce(t *testing.T) {
	store := cache.Store{Dir: t.TempDir()}
	builds := 0
	for range 2 {
		dir, err := store.Get("part", "k1", func(dir string) error {
			builds++
			return os.WriteFile(filepath.Join(dir, "file"), []byte("content"), 0o600)
		})
		if err != nil {
			t.Fatal(err)
		}
		if content, err := os.ReadFile(filepath.Join(dir, "file")); err != nil || string(content) != "content" {
			t.Errorf("entry holds %q, %v", content, err)
		}
	}
	if builds != 1 {
		t.Errorf("built %d times, want once", builds)
	}
}

func TestGetLeavesNothingOfAFailedBuild(t *testing.T) {
	store := cache.Store{Dir: t.TempDir()}
	broken := errors.New("broken")
	if _, err := store.Get("part", "k1", func(string) error { return broken }); !errors.Is(err, broken) {
		t.Fatalf("error is %v, want the build's", err)
	}
	if store.Has("part", "k1") {
		t.Error("a failed build left an entry")
	}
	entries, err := os.ReadDir(filepath.Join(store.Dir, "part"))
	if err != nil || len(entries) != 0 {
		t.Errorf("a failed build left %v, %v", entries, err)
	}
}

func TestGetKeepsTheNewest(t *testing.T) {
	store := cache.Store{Dir: t.TempDir()}
	for i, key := range []string{"k1", "k2", "k3"} {
		dir, err := store.Get("part", key, func(string) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		used := time.Unix(int64(i), 0) // directories made at once can have one time
		if err := os.Chtimes(dir, used, used); err != nil {
			t.Fatal(err)
		}
	}
	if store.Has("part", "k1") || !store.Has("part", "k3") {
		t.Error("the oldest entry stayed or the current one went")
	}
	entries, err := os.ReadDir(filepath.Join(store.Dir, "part"))
	if err != nil || len(entries) != 2 {
		t.Errorf("%d entries, %v; want the current one and one more", len(entries), err)
	}
}
