package preflight

import (
	"fmt"
	"path"
	"slices"

	"kiln/internal/buildcontext"
	"kiln/internal/copysource"
	"kiln/internal/tarball"
)

// archiveRows are about the files of the context that ADD unpacks.
func archiveRows() []Row {
	return []Row{
		{
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
		{
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
			Name:              "ADD of an archive that unpacks to more than 1 GiB or 100,000 entries, or from xz or zstd to more than 4 MiB",
			Example:           "FROM busybox\nADD a.tar.gz /x/\n",
			Context:           []string{"a.tar.gz = excess"},
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "the archive is too large to look at, or compressed in a way that needs much memory",
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
	if s.walker.added[s.line].others {
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
	if s.walker.added[s.line].others || len(r.archives) > 0 {
		return len(r.archives) > 0 // by the row before
	}
	for i, name := range files {
		content, found := s.walker.repacked[name]
		if !found || i >= maxDocuments {
			return false
		}
		at := fmt.Sprintf("%s/%d/archive-%d.tar", heredocDirectory, s.line, i)
		r.archives = append(r.archives, buildcontext.File{Name: at, Content: content})
	}
	r.copying.SourcePaths = nil
	return true
}
