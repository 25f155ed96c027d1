package preflight

import "kiln/internal/executor"

// Names of the Kaniko forks that the support table knows.
const (
	// Chainguard is github.com/chainguard-dev/kaniko; the table describes
	// 1.25.16.
	Chainguard = executor.Chainguard
	// Osscontainertools is github.com/osscontainertools/kaniko; the table
	// describes 1.28.3.
	Osscontainertools = executor.Osscontainertools
)
