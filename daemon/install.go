package main

import "kiln/internal/install"

// installCommand copies the shim to a volume that the runner mounts.
type installCommand struct {
	Dest string `help:"Directory to write kiln-hook, kiln-agent, hook.sh and job-started.sh to." required:"" type:"path"`
}

// Run writes the programs and the scripts.
func (c *installCommand) Run() error { return install.Hook(c.Dest) }
