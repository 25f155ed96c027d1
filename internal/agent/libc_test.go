package agent

import (
	"os"
	"path/filepath"
	"testing"
)

// TestLibc makes roots of what this machine has: its own loader is glibc's, and a
// program that needs libraries stands in for a loader that is none.
func TestLibc(t *testing.T) {
	own, _ := loaders()
	loader, err := os.ReadFile("/" + own)
	if err != nil {
		t.Skip("this machine has no glibc")
	}
	linked, err := os.ReadFile("/bin/ls") // it needs libc
	if err != nil {
		t.Fatal(err)
	}
	glibc, musl := loaders()
	for name, tt := range map[string]struct {
		files map[string][]byte
		want  Libc
	}{
		"distroless":          {want: 0},
		"Debian":              {map[string][]byte{glibc: loader}, Glibc},
		"Alpine":              {map[string][]byte{musl: linked}, Musl},
		"Alpine with gcompat": {map[string][]byte{musl: loader, glibc: linked}, Musl},
		"Debian with musl":    {map[string][]byte{musl: linked, glibc: loader}, Glibc | Musl},
		"nonsense":            {map[string][]byte{glibc: []byte("#!/bin/sh\n")}, 0},
	} {
		root := t.TempDir()
		for file, data := range tt.files {
			path := filepath.Join(root, file)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, data, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if got := findLibc(root); got != tt.want {
			t.Errorf("%s: %b, want %b", name, got, tt.want)
		}
	}
}

// TestDoorIsNoLink wants a door that is a link refused: it may lead anywhere.
func TestDoorIsNoLink(t *testing.T) {
	dir := t.TempDir()
	listener, err := listenUnix(filepath.Join(dir, "elsewhere"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if err := os.Symlink("elsewhere", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"link", "file", "none"} {
		if conn, err := dialUnix(t.Context(), filepath.Join(dir, name)); err == nil {
			_ = conn.Close()
			t.Errorf("%s leads somewhere", name)
		}
	}
	conn, err := dialUnix(t.Context(), filepath.Join(dir, "elsewhere"))
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}
