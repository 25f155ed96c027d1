package preflight

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"

	"kiln/internal/buildcontext"
	"kiln/internal/copysource"
	"kiln/internal/tarball"
)

// addRows are the constructs of ADD alone.
func addRows() []Row {
	return []Row{
		{
			ID:                "AddChecksum",
			Name:              "ADD --checksum",
			Example:           "FROM busybox\nADD --checksum=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 https://example.com/a /a\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "Kaniko does not verify --checksum: whatever the server sends would be taken",
			Advice:            "Download and verify in a RUN, for example with sha256sum -c.",
			match:             adds(func(_ *site, c *instructions.AddCommand) bool { return c.Checksum != "" }),
		},
		{
			ID:                "AddGit",
			Name:              "ADD of a Git repository",
			Example:           "FROM busybox\nADD https://example.com/a.git /a\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "Kaniko does not clone Git repositories: it would add the web page of that address, or fail",
			Advice:            "Use git clone in a RUN.",
			match: adds(func(s *site, c *instructions.AddCommand) bool {
				return c.KeepGitDir != nil || slices.ContainsFunc(c.SourcePaths, s.gitSource)
			}),
		},
		{
			ID:                "AddUnpack",
			Name:              "ADD --unpack",
			Example:           "FROM busybox\nADD --unpack=true https://example.com/a.tar /a\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "Kaniko does not know --unpack",
			Advice:            "Download and unpack in a RUN; use COPY for an archive that is to stay one.",
			match:             adds(func(_ *site, c *instructions.AddCommand) bool { return c.Unpack != nil }),
		},
		{
			ID:                "AddArchiveOwner",
			Name:              "ADD --chown or --chmod of an archive",
			Example:           "FROM busybox\nADD --chown=1000:1000 a.tar /a\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "Kaniko unpacks an archive with the owners that it holds, whatever --chown and --chmod say",
			Advice:            "Change owner and mode in a RUN.",
			match: copies(func(s *site, c copying) bool {
				return c.add && (c.chown != "" || c.chmod != "") && slices.ContainsFunc(c.SourcePaths, func(source string) bool {
					name, known := s.expand(source)
					return known && archive.MatchString(name) && !strings.Contains(name, "://")
				})
			}),
		},
	}
}

// archive finds the names of archives that ADD unpacks.
var archive = regexp.MustCompile(`\.(tar|tgz|tbz2?|txz|tar\.(gz|bz2|xz|zst))$`)

// gitReference finds the sources that Docker clones (Dockerfile reference, "ADD:
// Adding files from a Git repository").
var gitReference = regexp.MustCompile(`^(git://|git@|ssh://|https?://[^#?]+\.git([#?]|$))`)

func (s *site) gitSource(source string) bool {
	value, known := s.expand(source)
	return known && gitReference.MatchString(value)
}

// archiveRows are about the files of the context that ADD unpacks, by how they are
// packed.
func archiveRows() []Row {
	return []Row{
		{
			ID:                "AddPlainCompressed",
			Name:              "ADD of a compressed file that is no archive",
			Example:           "FROM busybox\nADD dump.sql.gz /d/\n",
			Context:           []string{"dump.sql.gz = gzip"},
			Chainguard:        Mend,
			Osscontainertools: Mend,
			Message:           "Docker copies a compressed file that is no archive, Kaniko tries to unpack it",
			Advice:            "Write COPY instead of ADD.",
			mend:              mendPlain,
			find: func(s *site) (copysource.Finding, bool) {
				return s.adds(func(f tarball.Facts) bool { return f.Kaniko && !f.Docker && !f.Excess })
			},
		},
		{
			ID:                "AddXzOrZstd",
			Name:              "ADD of an archive that xz or zstd compressed",
			Example:           "FROM busybox\nADD a.tar.xz /x/\n",
			Context:           []string{"a.tar.xz = xz"},
			Chainguard:        Mend,
			Osscontainertools: Mend,
			Message:           "Kaniko unpacks no archives of xz and zstd, as Docker does",
			Advice:            "Pack the archive with gzip, or name it alone in the ADD.",
			mend:              mendArchives,
			find: func(s *site) (copysource.Finding, bool) {
				return s.adds(func(f tarball.Facts) bool { return f.Docker && f.Repacked() && !f.Excess })
			},
		},
		{
			ID:         "AddArchiveTop",
			Name:       "ADD of an archive whose entry for its own top directory is not root's of mode 755",
			Example:    "FROM busybox\nADD a.tar /x/\n",
			Context:    []string{"a.tar = root"},
			Chainguard: Mend,
			Message:    "this Kaniko gives the target the owner and mode of that entry, Docker leaves it as it is",
			Advice:     "Pack the archive without the entry, for example by tar -cf a.tar -C dir $(ls -A dir).",
			mend:       mendArchives,
			find: func(s *site) (copysource.Finding, bool) {
				return s.adds(func(f tarball.Facts) bool { return f.Root })
			},
		},
	}
}

// archiveEntryRows are about the same files by what is in them.
func archiveEntryRows() []Row {
	return []Row{
		{
			ID:                "AddArchiveSpecial",
			Name:              "ADD of an archive with named pipes, devices, whiteouts, sparse files, names or links that lead out of it",
			Example:           "FROM busybox\nADD a.tar /x/\n",
			Context:           []string{"a.tar = fifo"},
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "Kaniko leaves out or changes entries of the archive that are neither directories, files nor links",
			Advice:            "Pack the archive without such entries, and make them in a RUN.",
			find: func(s *site) (copysource.Finding, bool) {
				return s.adds(func(f tarball.Facts) bool { return f.Special != "" || f.Docker && f.Odd != "" })
			},
		},
		{
			ID:                "AddArchiveContainerPath",
			Name:              "ADD of an archive with files for paths of the container itself",
			Example:           "FROM busybox\nADD a.tar /\n",
			Context:           []string{"a.tar = hosts"},
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "the archive holds a file for a path that belongs to the running container: it would be missing from the image",
			Advice:            "Pack the archive without the file, or write it in the action's entrypoint.",
			find:              unpacksOwn,
		},
		{
			ID:                "AddArchiveTooLarge",
			Name:              "ADD of an archive that unpacks to more than 1 GiB or 100,000 entries, or from xz or zstd to more than 4 MiB, or of several to more than 4 GiB",
			Example:           "FROM busybox\nADD a.tar.gz /x/\n",
			Context:           []string{"a.tar.gz = excess"},
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "the archive is too large to look at, alone or with others, or packed in a way that is not read",
			Advice:            "Pack a smaller archive, with gzip; or COPY the archive and unpack it in a RUN.",
			find: func(s *site) (copysource.Finding, bool) {
				return s.adds(func(f tarball.Facts) bool { return f.Excess })
			},
		},
	}
}

// unpacksOwn finds an archive that has an entry for a path of the container
// itself.
func unpacksOwn(s *site) (copysource.Finding, bool) {
	c, _ := s.copying()
	files, _ := s.archives()
	if len(files) == 0 {
		return copysource.Finding{}, false
	}
	target, _, known := s.path(c.DestPath)
	return s.adds(func(f tarball.Facts) bool {
		return known && f.Docker && slices.ContainsFunc(f.Watched, func(rest string) bool {
			return slices.Contains(allOwn(), path.Join(target, rest))
		})
	})
}

// mendPlain makes a COPY of an ADD that unpacks nothing.
func mendPlain(s *site, r *rewrite) bool {
	files, facts := s.archives()
	if s.walker.context.added[s.line].others {
		return false
	}
	r.copying.add = false
	return !slices.ContainsFunc(files, func(name string) bool {
		f, known := facts[name]
		return !known || f.Docker || f.Excess
	})
}

// mendArchives adds archives that were written anew and lie beside the context,
// where all that an ADD names is such.
func mendArchives(s *site, r *rewrite) bool {
	files, _ := s.archives()
	if s.walker.context.added[s.line].others || len(r.archives) > 0 {
		return len(r.archives) > 0 // by the row before
	}
	for i, name := range files {
		content, found := s.walker.context.repacked[name]
		if !found || i >= maxDocuments {
			return false
		}
		at := fmt.Sprintf("%s/%d/archive-%d.tar", heredocDirectory, s.line, i)
		r.archives = append(r.archives, buildcontext.File{Name: at, Content: content})
	}
	r.copying.SourcePaths = nil
	return true
}
