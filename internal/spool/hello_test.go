package spool_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kiln/internal/spool"
)

func TestGreeting(t *testing.T) {
	dir := t.TempDir()
	exchange, err := spool.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer exchange.Close()
	if _, _, err := exchange.Greeting(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("before the first shim: %v", err)
	}
	for _, want := range []spool.Hello{{Delegate: "/a.js", Problem: "no such file"}, {Delegate: "/b.js"}} {
		if err := exchange.Greet(want); err != nil {
			t.Fatal(err)
		}
		want.Version = spool.Version
		got, at, err := exchange.Greeting()
		if err != nil || got != want || time.Since(at) > time.Minute {
			t.Errorf("greeting = %+v at %s, %v; want %+v", got, at, err, want)
		}
	}
	if err := exchange.Greet(spool.Hello{Delegate: strings.Repeat("x", 16<<10)}); err == nil {
		t.Error("a greeting of more than 16 KiB is left")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("the exchange has %v, %v", entries, err)
	}
}

func TestGreetingIsForeignInput(t *testing.T) {
	for name, plant := range map[string]func(path string) error{
		"link":      func(path string) error { return os.Symlink("/etc/passwd", path) },
		"directory": func(path string) error { return os.Mkdir(path, 0o777) },
		"large":     func(path string) error { return os.WriteFile(path, make([]byte, 17<<10), 0o666) },
		"nonsense":  func(path string) error { return os.WriteFile(path, []byte("{"), 0o666) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := plant(filepath.Join(dir, "shim.json")); err != nil {
				t.Fatal(err)
			}
			exchange, err := spool.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer exchange.Close()
			if got, _, err := exchange.Greeting(); err == nil {
				t.Errorf("greeting = %+v, want an error", got)
			}
		})
	}
}

func TestWritable(t *testing.T) {
	dir := t.TempDir()
	exchange, err := spool.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer exchange.Close()
	if err := errors.Join(exchange.Writable(), exchange.Init(), exchange.Writable()); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{".", "requests", "responses", "cancel", "tmp", "wishes"} {
		entries, err := os.ReadDir(filepath.Join(dir, part))
		if want := map[bool]int{true: 5, false: 0}[part == "."]; err != nil || len(entries) != want {
			t.Errorf("left in %s: %v, %v", part, entries, err)
		}
	}
}
