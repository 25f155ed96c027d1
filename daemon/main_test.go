package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"kiln/internal/install"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"kilnd": main, "in-pod": inPod})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:  "testdata/script",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"code": code},
	})
}

// code runs a program and wants an exit code: code 2 kilnd doctor.
func code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code number program [arguments]")
	}
	got := 0
	err := ts.Exec(args[1], args[2:]...)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got, err = exit.ExitCode(), nil
	}
	if err != nil || strconv.Itoa(got) != args[0] {
		ts.Fatalf("%s ended with %d, %v; want %s", args[1], got, err, args[0])
	}
}

func TestInstall(t *testing.T) {
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{install.Shim, install.Agent} {
		beside := filepath.Join(filepath.Dir(own), name)
		if err := os.WriteFile(beside, []byte("the program "+name), 0o755); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Remove(beside) })
	}
	dest := filepath.Join(t.TempDir(), "opt", "kiln")
	for range 2 { // a second time replaces what is there
		command := installCommand{Dest: dest}
		if err := command.Run(); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{install.Shim, install.Agent, install.Script, install.JobStarted} {
		info, err := os.Stat(filepath.Join(dest, name))
		if err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
		text, err := os.ReadFile(filepath.Join(dest, name))
		if want := "the program " + name; err != nil || filepath.Ext(name) != ".sh" && string(text) != want {
			t.Errorf("%s is %q, %v", name, text, err)
		}
	}
	entries, err := os.ReadDir(dest)
	if err != nil || len(entries) != 4 {
		t.Errorf("%d files in %s, %v", len(entries), dest, err)
	}
}
