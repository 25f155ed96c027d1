package spool

import (
	"encoding/json"
	"fmt"
)

// fileSettings is where the daemon publishes what shims should know.
const fileSettings = "settings.json"

// Settings are what the daemon tells shims of its own settings: the limits that
// it will enforce, so that they need not stage what would be refused, and what
// an author may think is set and is not. They are hints: whoever can write the
// exchange can change them, and the daemon never reads them.
type Settings struct {
	// ContextMaxBytes is the limit of a context in bytes.
	ContextMaxBytes int64 `json:"context_max_bytes"`
	// ContextMaxEntries is the limit of a context in files and directories.
	ContextMaxEntries int `json:"context_max_entries"`
	// HookTemplate says that the daemon merges an extension template into the
	// Jobs of actions.
	HookTemplate bool `json:"hook_template"`
	// Prebuild says that the daemon takes wishes.
	Prebuild bool `json:"prebuild"`
}

// Publish writes the settings for shims.
func (e *Exchange) Publish(settings Settings) error {
	data, err := json.Marshal(settings)
	if err != nil {
		return fmt.Errorf("encode settings: %w", err)
	}
	if err := writeFile(e.root, fileSettings, data); err != nil {
		return fmt.Errorf("publish settings: %w", err)
	}
	return nil
}

// Settings returns the daemon's settings, or none where they cannot be read.
func (e *Exchange) Settings() Settings {
	var settings Settings
	data, err := readPlain(e.root, fileSettings, maxResultBytes)
	if err != nil || json.Unmarshal(data, &settings) != nil {
		return Settings{}
	}
	return settings
}
