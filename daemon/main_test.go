package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"kilnd": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script"})
}

func TestInstall(t *testing.T) {
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	beside := filepath.Join(filepath.Dir(own), shimName)
	if err := os.WriteFile(beside, []byte("#!/bin/sh\necho shim $*\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(beside) })
	dest := filepath.Join(t.TempDir(), "opt", "kiln")
	for range 2 { // a second time replaces what is there
		command := installCommand{Dest: dest}
		if err := command.Run(); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{shimName, scriptName} {
		info, err := os.Stat(filepath.Join(dest, name))
		if err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	entries, err := os.ReadDir(dest)
	if err != nil || len(entries) != 2 {
		t.Errorf("%d files in %s, %v", len(entries), dest, err)
	}
}
