package cluster

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"kiln/e2e/cluster/internal/parts"
	"kiln/e2e/cluster/internal/registries"
)

// State is what a running cluster's users need to know and cannot ask for.
type State struct {
	// Push and AuthPush are the registries' addresses for this machine.
	Push     string `json:"push"`
	AuthPush string `json:"authPush"`
	// User and Password are those of the registry with auth.
	User     string `json:"user"`
	Password string `json:"password"`
	// Reader is the name of the user of the repository %s, who may read that alone
	// and has the same password.
	Reader string `json:"reader"`
	// Shared is the directory that all nodes share; empty where there is one node.
	Shared string `json:"shared,omitempty"`
}

func (c *Cluster) statePath() string { return filepath.Join(c.dir(), "state.json") }

func (c *Cluster) loadState() (State, error) {
	var s State
	raw, err := os.ReadFile(c.statePath())
	if err != nil {
		return s, fmt.Errorf("read cluster state: %w", err)
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return s, fmt.Errorf("read cluster state %s: %w", c.statePath(), err)
	}
	return s, nil
}

// saveState writes the state whole or not at all. It holds a password.
func (c *Cluster) saveState(s State) error {
	raw, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encode cluster state: %w", err)
	}
	tmp := c.statePath() + ".tmp"
	if err := os.WriteFile(tmp, raw, 0o600); err != nil {
		return fmt.Errorf("write cluster state: %w", err)
	}
	return os.Rename(tmp, c.statePath())
}

// newPassword is a password that needs no quoting anywhere.
func newPassword() string { return strings.ToLower(rand.Text()) }

// Env describes the running cluster as environment variables, in order.
func (c *Cluster) Env() ([]Variable, error) {
	s, err := c.loadState()
	if err != nil {
		return nil, fmt.Errorf("cluster %s is not running: %w", c.Name, err)
	}
	open, guarded := c.open().Address(), c.guarded("", "").Address()
	variables := []Variable{
		{"KUBECONFIG", c.Kubeconfig()},
		{"KILN_E2E_REGISTRY", open},
		{"KILN_E2E_REGISTRY_PUSH", s.Push},
		{"KILN_E2E_AUTH_REGISTRY", guarded},
		{"KILN_E2E_AUTH_REGISTRY_PUSH", s.AuthPush},
		{"KILN_E2E_AUTH_USER", s.User},
		{"KILN_E2E_AUTH_PASSWORD", s.Password},
		{"KILN_E2E_AUTH_READER", s.Reader},
		{"KILN_E2E_KANIKO_IMAGE", open + "/kaniko/executor:" + parts.KanikoVersion},
		{"KILN_E2E_KANIKO_FLAVOR", "chainguard@" + strings.TrimPrefix(parts.KanikoVersion, "v")},
		{"KILN_E2E_MIRRORS", "docker.io=" + open},
		{"KILN_E2E_INSECURE", open + "," + guarded},
		{"KILN_E2E_SHARED", s.Shared},
	}
	return slices.DeleteFunc(variables, func(v Variable) bool { return v.Value == "" }), nil
}

// Variable is one environment variable.
type Variable struct{ Name, Value string }

// Export writes it as a line for a POSIX shell.
func (v Variable) Export() string {
	return "export " + v.Name + "='" + strings.ReplaceAll(v.Value, "'", `'\''`) + "'"
}

// hosts lists the hosts.toml files of every node, by the registry they are for.
func (c *Cluster) hosts() map[string]string {
	open, guarded := c.open().Address(), c.guarded("", "").Address()
	return map[string]string{
		open:        registries.Hosts(open, ""),
		guarded:     registries.Hosts(guarded, ""),
		"docker.io": registries.Hosts(open, "https://registry-1.docker.io"),
	}
}
