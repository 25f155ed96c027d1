package buildcontext

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"syscall"
)

// Stage writes the build context of a Dockerfile to w as a plain tar in
// canonical form. dockerfile is a path of the host; it is cleaned first, as
// the runner sends it with /./ and /../ in it. The context is the directory
// of that path, as the runner has it. That directory may be a symbolic link.
//
// The file <dockerfile>.dockerignore, or else .dockerignore, excludes files
// with BuildKit's meaning of its patterns. The Dockerfile and that file are
// always part of the archive, because the builder reads both from there. Both
// may be symbolic links to files in the context.
//
// A hard link becomes a file. Sockets are left out, as BuildKit does. Other
// special files, links that lead back to themselves, files that cannot be read, files that change their size while
// they are read, a Dockerfile that is missing or too large, malformed patterns
// and a context beyond l give an [*InputError]; what is excluded gives none.
// Other errors come from reading the disk or from w.
func Stage(w io.Writer, dockerfile string, l Limits) (Summary, error) {
	dockerfile = filepath.Clean(dockerfile)
	out := bufio.NewWriterSize(w, 256<<10)
	s := &stager{
		root:    filepath.Dir(dockerfile),
		keep:    map[string]bool{},
		archive: newArchive(out, l),
	}
	if err := s.prepare(filepath.Base(dockerfile), l.orDefault().DockerfileBytes); err != nil {
		return Summary{}, err
	}
	if err := s.archive.root(); err != nil {
		return Summary{}, err
	}
	if err := s.walk("", matches{}, false); err != nil {
		return Summary{}, err
	}
	if !s.hasDockerfile {
		return Summary{}, vanished(s.dockerfile)
	}
	sum, err := s.archive.close()
	if err != nil {
		return Summary{}, err
	}
	if err := out.Flush(); err != nil {
		return Summary{}, fmt.Errorf("write context: %w", err)
	}
	return sum, nil
}

// stager walks over one context. All its paths are relative to root.
type stager struct {
	root    string
	archive *archive
	filter  *filter
	// keep has what no pattern excludes, and the directories on the way.
	keep map[string]bool
	// dockerfile is what the Dockerfile's path leads to.
	dockerfile    string
	hasDockerfile bool
	// pending are excluded directories on the way to the current entry, not
	// in the archive yet: they get there once something below them does.
	pending []entry
}

// prepare looks at the Dockerfile and reads the .dockerignore.
func (s *stager) prepare(name string, limit int64) error {
	chain, info, err := s.resolve(name)
	if errors.Is(err, fs.ErrNotExist) {
		return inputError(name, "there is no such file in %s; runs.image in action.yml must name a Dockerfile", printable(s.root))
	}
	if err != nil {
		return err
	}
	if info.Size() > limit {
		return inputError(name, "the Dockerfile is larger than %s", formatBytes(limit))
	}
	s.dockerfile = chain[len(chain)-1]
	s.keepAll(chain)
	return s.readIgnore(name)
}

// readIgnore loads the .dockerignore that belongs to the Dockerfile name.
func (s *stager) readIgnore(name string) error {
	for _, ignore := range ignoreFiles(name) {
		chain, _, err := s.resolve(ignore)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		content, err := s.readSmall(chain[len(chain)-1])
		if err != nil {
			return err
		}
		s.keepAll(chain)
		s.filter, err = newFilter(ignore, content)
		return err
	}
	var err error
	s.filter, err = newFilter("", nil)
	return err
}

// keepAll keeps names, and lets the walk get there.
func (s *stager) keepAll(names []string) {
	for _, name := range names {
		for ; name != "."; name = path.Dir(name) {
			s.keep[name] = true
		}
	}
}

func (s *stager) readSmall(name string) ([]byte, error) {
	f, _, err := s.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxIgnoreBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read context file: %w", err)
	}
	if len(content) > maxIgnoreBytes {
		return nil, inputError(name, "the file is larger than %s", formatBytes(maxIgnoreBytes))
	}
	return content, nil
}

// walk visits what is in dir, which is "" for the context, in the order of
// compareNames.
func (s *stager) walk(dir string, m matches, excluded bool) error {
	entries, err := os.ReadDir(filepath.Join(s.root, dir))
	switch {
	case errors.Is(err, fs.ErrNotExist), excluded && errors.Is(err, fs.ErrPermission):
		return nil // gone by now, or nobody asked for it
	case err != nil:
		return s.readError(dir, err)
	}
	for _, e := range entries {
		if err := s.visit(path.Join(dir, e.Name()), e.IsDir(), m); err != nil {
			return err
		}
	}
	return nil
}

// visit handles one name, whose directory matched as parent says.
func (s *stager) visit(name string, isDir bool, parent matches) error {
	excluded, m, err := s.filter.excludes(name, parent)
	if err != nil {
		return err
	}
	wanted := !excluded || s.keep[name]
	if !wanted && (!isDir || !s.filter.mayInclude(name)) {
		return nil
	}
	info, err := os.Lstat(filepath.Join(s.root, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // gone since its directory was read, as if never seen
	}
	if err != nil {
		return s.readError(name, err)
	}
	if info.IsDir() {
		return s.visitDir(s.entry(name, kindDir, info), m, excluded)
	}
	return s.visitOther(name, info)
}

func (s *stager) visitDir(e entry, m matches, excluded bool) error {
	depth := len(s.pending)
	s.pending = append(s.pending, e)
	if !excluded {
		if err := s.flush(); err != nil {
			return err
		}
	}
	err := s.walk(e.path, m, excluded)
	s.pending = s.pending[:min(depth, len(s.pending))]
	return err
}

func (s *stager) visitOther(name string, info fs.FileInfo) error {
	switch info.Mode().Type() {
	case 0:
		return s.addFile(name)
	case fs.ModeSymlink:
		return s.addLink(name, info)
	case fs.ModeSocket:
		return nil
	case fs.ModeNamedPipe:
		return inputError(name, "a build context cannot hold a named pipe; remove it or exclude it in .dockerignore")
	default:
		return inputError(name, "a build context cannot hold a special file (%v); remove it or exclude it in .dockerignore", info.Mode().Type())
	}
}

func (s *stager) addFile(name string) error {
	f, info, err := s.open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	e := s.entry(name, kindFile, info)
	e.size = info.Size()
	if err := s.flush(); err != nil {
		return err
	}
	if err := s.archive.add(e, f); err != nil {
		if errors.Is(err, errSizeChanged) {
			return changed(name)
		}
		return err
	}
	s.hasDockerfile = s.hasDockerfile || name == s.dockerfile
	return nil
}

func (s *stager) addLink(name string, info fs.FileInfo) error {
	target, err := os.Readlink(filepath.Join(s.root, name))
	if err != nil {
		return s.readError(name, err)
	}
	if reason := s.blindAlley(name, target); reason != "" {
		return inputError(name, "%s; remove it or exclude it in .dockerignore", reason)
	}
	e := s.entry(name, kindLink, info)
	e.mode, e.link = linkMode, target
	if err := s.flush(); err != nil {
		return err
	}
	return s.archive.add(e, nil)
}

// blindAlley says why no program can follow the link at name, or nothing. Kaniko
// v1.25 leaves out of the image, and says nothing, what it comes to after such a
// link (pkg/filesystem/resolve.go), and v1.28 ends the build. A link to nothing
// is well, and where an absolute one leads only the image knows.
func (s *stager) blindAlley(name, target string) string {
	if path.IsAbs(target) {
		return ""
	}
	_, err := os.Stat(filepath.Join(s.root, name))
	switch {
	case errors.Is(err, syscall.ELOOP):
		return "this symbolic link leads back to itself, and Kaniko would lose files beside it"
	case errors.Is(err, syscall.ENOTDIR):
		return "this symbolic link leads through a file as if it were a directory, and Kaniko would lose files beside it"
	}
	return ""
}

func (s *stager) entry(name string, k kind, info fs.FileInfo) entry {
	return entry{path: name, kind: k, mode: modeBits(info.Mode())}
}

// flush writes the directories that the next entry needs.
func (s *stager) flush() error {
	for _, e := range s.pending {
		if err := s.archive.add(e, nil); err != nil {
			return err
		}
	}
	s.pending = s.pending[:0]
	return nil
}

// open opens a regular file without following a link and without waiting for
// the other end of a pipe: name may be something else by now.
func (s *stager) open(name string) (*os.File, fs.FileInfo, error) {
	f, err := os.OpenFile(filepath.Join(s.root, name), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.ENXIO) {
		return nil, nil, changed(name)
	}
	if err != nil {
		return nil, nil, s.readError(name, err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, nil, s.readError(name, err)
	}
	if !info.Mode().IsRegular() {
		f.Close()
		return nil, nil, changed(name)
	}
	return f, info, nil
}

// readError tells what the author can mend from what broke.
func (s *stager) readError(name string, err error) error {
	if name == "" {
		name = "."
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		return inputError(name, "the runner's user may not read this; make it readable or exclude it in .dockerignore")
	case errors.Is(err, syscall.ENAMETOOLONG):
		return inputError(name, "the path is longer than the %d bytes that Linux takes; shorten it or exclude it in .dockerignore", maxName)
	}
	return fmt.Errorf("read context: %w", err)
}

func changed(name string) error {
	return inputError(name, "the file changed while the build context was read; a step of the job still writes to it, so let that end first or exclude the file in .dockerignore")
}

func vanished(name string) error {
	return inputError(name, "the Dockerfile vanished while the build context was read")
}
