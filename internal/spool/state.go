package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// State is the daemon's own directory, which nobody else writes: one
// directory for each request that it has accepted and not finished. Its
// methods are safe for concurrent use.
type State struct{ path string }

// OpenState opens the state at dir, making it when it is missing.
func OpenState(dir string) (*State, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	return &State{path: dir}, nil
}

// Accept makes the directory of the request id.
func (s *State) Accept(id string) error {
	if err := checkID(id); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(s.path, id), 0o700); err != nil {
		return fmt.Errorf("remember request: %w", err)
	}
	return nil
}

// ContextPath returns where the canonical context of the request id is kept.
func (s *State) ContextPath(id string) string {
	return filepath.Join(s.path, id, "context.tar.gz")
}

// Made is what a step has in the cluster, or is about to have there: a Job and a
// Secret of one name.
type Made struct {
	// Name is the objects' name, which the daemon made up.
	Name string `json:"name"`
	// SecretUID tells the Secret from another of its name; empty until it is
	// known to be there.
	SecretUID string `json:"secret_uid,omitempty"`
}

// fileMade lists in the directory of a request what was made for it.
const fileMade = "made.json"

// Note remembers what the step of the request id has made, and what it makes
// next: it is called before. It replaces what was noted of that id.
func (s *State) Note(id string, made []Made) error {
	data, err := json.Marshal(made)
	if err != nil {
		return fmt.Errorf("remember objects: %w", err)
	}
	name := s.madePath(id)
	if err := os.WriteFile(name+".new", data, 0o600); err != nil {
		return fmt.Errorf("remember objects: %w", err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		return fmt.Errorf("remember objects: %w", err)
	}
	return nil
}

// Noted returns what was noted of the request id; nothing is no error.
func (s *State) Noted(id string) ([]Made, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(s.madePath(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var made []Made
	if err == nil {
		err = json.Unmarshal(data, &made)
	}
	if err != nil {
		return nil, fmt.Errorf("read remembered objects: %w", err)
	}
	return made, nil
}

func (s *State) madePath(id string) string { return filepath.Join(s.path, id, fileMade) }

// Forget removes what is kept of the request id.
func (s *State) Forget(id string) error {
	if err := checkID(id); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(s.path, id)); err != nil {
		return fmt.Errorf("forget request: %w", err)
	}
	return nil
}

// Accepted returns the ids that are kept: after a start, those that an
// earlier run of the daemon left unfinished.
func (s *State) Accepted() ([]string, error) {
	entries, err := os.ReadDir(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list state: %w", err)
	}
	var ids []string
	for _, entry := range entries {
		if entry.IsDir() && ValidID(entry.Name()) {
			ids = append(ids, entry.Name())
		}
	}
	return ids, nil
}
