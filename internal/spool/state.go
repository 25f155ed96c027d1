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
	// SecretUID and JobUID tell the Secret and the Job from others of that name;
	// empty until they are known to be there.
	SecretUID string `json:"secret_uid,omitempty"`
	JobUID    string `json:"job_uid,omitempty"`
	// Over says that they are of no use any more, and others follow.
	Over bool `json:"over,omitempty"`
}

// keptMade is the name of what was made for a request.
const keptMade = "objects"

// Note remembers what the step of the request id has made, and what it makes
// next: it is called before. It replaces what was noted of that id.
func (s *State) Note(id string, made []Made) error { return s.Save(id, keptMade, made) }

// Noted returns what was noted of the request id; nothing is no error.
func (s *State) Noted(id string) ([]Made, error) {
	var made []Made
	_, err := s.Load(id, keptMade, &made)
	return made, err
}

// Save keeps value as JSON under a name for the request id, which was accepted. It
// replaces what had the name, whole or not at all. The file is the daemon's alone.
func (s *State) Save(id, name string, value any) error {
	data, err := json.Marshal(value)
	if err == nil {
		err = replaceFile(s.kept(id, name), data)
	}
	if err != nil {
		return fmt.Errorf("remember %s: %w", name, err)
	}
	return nil
}

// Load reads into value what is kept under a name for the request id, and reports
// whether there is any.
func (s *State) Load(id, name string, value any) (bool, error) {
	if err := checkID(id); err != nil {
		return false, err
	}
	data, err := os.ReadFile(s.kept(id, name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(data, value)
	}
	if err != nil {
		return false, fmt.Errorf("read remembered %s: %w", name, err)
	}
	return true, nil
}

// kept is the file of what is kept under a name.
func (s *State) kept(id, name string) string { return filepath.Join(s.path, id, name+".json") }

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
