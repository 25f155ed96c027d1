package preflight

import "slices"

// Read reports whether the verdict for a flavor was read in the executor's source
// alone. All others were seen: the example, or a Dockerfile of the parity corpus,
// was built with the executor and with BuildKit.
func (r Row) Read(flavor string) bool {
	return slices.Contains(readCells()[flavor], r.ID)
}

// readCells are the ids of the rows whose verdict was read, by flavor.
func readCells() map[string][]string {
	return map[string][]string{
		Osscontainertools: {
			"SyntaxFrontend",
			"RunHeredocProgram",
			"RunMountRequired",
			"RunNetwork",
			"AddChecksum",
			"AddGit",
			"AddUnpack",
			"CopyExclude",
			"CopyPatternTwice",
			"CopyChmodMakesDirectories",
			"WorkdirDots",
			"AddArchiveTooLarge",
			"TargetVolume",
			"ArgVariableName",
		},
		Chainguard: {
			"SyntaxFrontend",
			"RunMountRequired",
			"RunNetwork",
			"AddChecksum",
			"AddGit",
			"AddUnpack",
			"CopyPatternTwice",
			"AddArchiveTooLarge",
			"ArgVariableName",
		},
	}
}
