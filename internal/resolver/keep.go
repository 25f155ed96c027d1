package resolver

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// keptName is the file in a directory of the program's own that has what the
// pod's files said first.
const keptName = "resolver.json"

// Keep returns a resolver that goes by what the pod's files said when it was
// called for the first time with this directory, which nobody else may write:
// a container that starts again would else read what others have made of them.
func Keep(dir string) (*Resolver, error) {
	path := filepath.Join(dir, keptName)
	kept, err := Kept(dir)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return kept, err
	}
	config, err := Read(HostsFile, NameServerFile)
	if err != nil {
		return nil, err
	}
	content, err := json.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("keep how names are looked up: %w", err)
	}
	draft := path + ".new"
	if err := errors.Join(os.WriteFile(draft, content, 0o600), os.Rename(draft, path)); err != nil {
		return nil, fmt.Errorf("keep how names are looked up: %w", err)
	}
	return New(config), nil
}

// Kept returns the resolver that Keep made for the directory. Without one the
// error is [fs.ErrNotExist].
func Kept(dir string) (*Resolver, error) {
	content, err := os.ReadFile(filepath.Join(dir, keptName))
	if err != nil {
		return nil, fmt.Errorf("read how names are looked up: %w", err)
	}
	var config Config
	if err := json.Unmarshal(content, &config); err != nil {
		return nil, fmt.Errorf("read how names are looked up: %s: %w", filepath.Join(dir, keptName), err)
	}
	return New(config), nil
}
