package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"
)

// fileHello is where a shim leaves what it found in the runner container.
const fileHello = "shim.json"

// maxHelloBytes bounds what a shim leaves.
const maxHelloBytes = 16 << 10

// Hello is what a shim found when the runner called it. Whoever can write the
// exchange can write another: it decides nothing and helps whoever looks for a
// fault.
type Hello struct {
	// Version is the protocol's, see [Version].
	Version int `json:"version"`
	// Delegate is KILN_DELEGATE; empty in sealed mode.
	Delegate string `json:"delegate"`
	// Problem is why that delegate cannot be used, empty if it can.
	Problem string `json:"problem,omitempty"`
}

// Greet leaves h for whoever looks for a fault, in place of the shim's before it.
func (e *Exchange) Greet(h Hello) error {
	h.Version = Version
	data, err := encode(h)
	if err != nil {
		return fmt.Errorf("encode greeting: %w", err)
	}
	if len(data) > maxHelloBytes {
		return fmt.Errorf("a greeting of %d bytes is larger than %d", len(data), maxHelloBytes)
	}
	return writeFile(e.root, fileHello, data)
}

// Greeting returns what the last shim left and when. A shim that did not run is
// an error that satisfies errors.Is with [os.ErrNotExist].
func (e *Exchange) Greeting() (Hello, time.Time, error) {
	info, err := e.root.Lstat(fileHello)
	if err != nil {
		return Hello{}, time.Time{}, bare(err)
	}
	data, err := readPlain(e.root, fileHello, maxHelloBytes)
	if errors.Is(err, errChanged) { // another shim came in between
		data, err = readPlain(e.root, fileHello, maxHelloBytes)
	}
	if err != nil {
		return Hello{}, time.Time{}, err
	}
	var h Hello
	if err := json.Unmarshal(data, &h); err != nil {
		return Hello{}, time.Time{}, fmt.Errorf("parse %s: %w", fileHello, err)
	}
	return h, info.ModTime(), nil
}

// Writable tells whether this process can make files in the exchange, and in the
// directories that it has.
func (e *Exchange) Writable() error {
	dirs := []string{"."}
	for _, dir := range directories() {
		if info, err := e.root.Lstat(dir); err == nil && info.IsDir() {
			dirs = append(dirs, dir)
		}
	}
	for _, dir := range dirs {
		if err := try(e.root, dir); err != nil {
			return fmt.Errorf("make a file in %s: %w", e.path, err)
		}
	}
	return nil
}

// try makes a file that nobody reads, and removes it.
func try(root *os.Root, dir string) error {
	name := dir + "/." + NewID()
	if err := writeNew(root, name, nil); err != nil {
		_ = root.Remove(name)
		return err
	}
	return root.Remove(name)
}
