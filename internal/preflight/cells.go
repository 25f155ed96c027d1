package preflight

import "slices"

// Read reports whether the verdict for a flavor was read in the executor's source
// alone. All others were seen: the example, or a Dockerfile of the parity corpus,
// was built with the executor and with BuildKit.
func (r Row) Read(flavor string) bool {
	return slices.Contains(readCells()[flavor], r.Name)
}

// readCells are the names of the rows whose verdict was read, by flavor.
func readCells() map[string][]string {
	return map[string][]string{
		Osscontainertools: {
			"# syntax= of another frontend",
			"RUN heredoc that begins with #!",
			"RUN --mount=type=secret or ssh, required",
			"RUN --network",
			"ADD --checksum",
			"ADD of a Git repository",
			"ADD --unpack",
			"COPY or ADD --exclude",
			"COPY or ADD --chmod that makes directories",
			"WORKDIR with .. behind a name",
			"ADD of an archive that unpacks to more than 1 GiB or 100,000 entries, or from xz or zstd to more than 4 MiB",
			"COPY, ADD or WORKDIR below a VOLUME",
			"ARG with a variable in its name",
		},
		Chainguard: {
			"# syntax= of another frontend",
			"RUN --mount=type=secret or ssh, required",
			"RUN --network",
			"ADD --checksum",
			"ADD of a Git repository",
			"ADD --unpack",
			"ADD of an archive that unpacks to more than 1 GiB or 100,000 entries, or from xz or zstd to more than 4 MiB",
			"ARG with a variable in its name",
		},
	}
}
