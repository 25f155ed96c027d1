package corpus

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// integration reads the Dockerfiles of Kaniko's own tests from its module. They
// are used as they are, but for three things that a build by kiln does not
// have:
//
//   - Digests are cut off image references, since local images stand for them.
//   - Build arguments are given as defaults, since a runner passes none.
//   - The Dockerfile is put at the top of the context that the tests give it,
//     since an action's context is the directory of its Dockerfile.
//
// The list says what each file needs, or why it is left out.
func integration(list, dir string) ([]Case, error) {
	treatments, err := readList(list)
	if err != nil {
		return nil, err
	}
	files, err := dockerfiles(dir)
	if err != nil {
		return nil, err
	}
	var cases []Case
	for _, file := range files {
		t := treatments[file]
		delete(treatments, file)
		if t.skip != "" {
			continue
		}
		cases = append(cases, t.build(dir, file))
	}
	for file := range treatments {
		return nil, fmt.Errorf("%s: Kaniko's tests have no %s", list, file)
	}
	return cases, nil
}

// dockerfiles lists the Dockerfiles below the directory of the tests.
func dockerfiles(dir string) ([]string, error) {
	var all []string
	for _, pattern := range []string{"dockerfiles/*", "dockerfiles-with-context/*/Dockerfile"} {
		files, err := fs.Glob(os.DirFS(dir), pattern)
		if err != nil {
			return nil, err
		}
		all = append(all, files...)
	}
	all = slices.DeleteFunc(all, func(file string) bool { return strings.HasSuffix(file, ".dockerignore") })
	if len(all) == 0 {
		return nil, fmt.Errorf("%s holds no Dockerfile", dir)
	}
	return all, nil
}

// treatment is what one of Kaniko's Dockerfiles needs.
type treatment struct {
	skip  string // why it is left out
	limit string // what it is about, when it is a limit
	args  map[string]string
	bases map[string]string
	lines []string // instructions that are left out
}

// readList reads the treatments, a line each: "skip FILE REASON", "limit FILE
// ABOUT" for one that stands among the limits, "arg FILE
// NAME=VALUE", "base FILE REFERENCE NAME" or "drop FILE INSTRUCTION". Files are
// named from the directory of the tests.
func readList(list string) (map[string]treatment, error) {
	data, err := os.ReadFile(list)
	if err != nil {
		return nil, fmt.Errorf("read list: %w", err)
	}
	all := map[string]treatment{}
	for line := range strings.Lines(string(data)) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		if len(words) < 3 {
			return nil, fmt.Errorf("%s: line %q is not understood", list, line)
		}
		t, found := all[words[1]]
		if !found {
			t = treatment{args: map[string]string{}, bases: map[string]string{}}
		}
		if err := t.add(words); err != nil {
			return nil, fmt.Errorf("%s: %w", list, err)
		}
		all[words[1]] = t
	}
	return all, nil
}

func (t *treatment) add(words []string) error {
	rest := strings.Join(words[2:], " ")
	name, value, assigned := strings.Cut(rest, "=")
	switch {
	case words[0] == "skip":
		t.skip = rest
	case words[0] == "limit":
		t.limit = rest
	case words[0] == "drop":
		t.lines = append(t.lines, rest)
	case words[0] == "arg" && assigned:
		t.args[name] = value
	case words[0] == "base" && len(words) == 4:
		t.bases[words[2]] = words[3]
	default:
		return fmt.Errorf("line %q is not understood", strings.Join(words, " "))
	}
	return nil
}

func (t treatment) build(dir, file string) Case {
	context, name := dir, path.Base(file)
	c := Case{Suite: Kaniko, Name: strings.TrimPrefix(name, "Dockerfile_"), Dockerfile: name, Bases: maps.Clone(t.bases), Slow: true}
	if t.limit != "" {
		c.Suite, c.Covers = Limits, t.limit
	}
	if strings.HasPrefix(file, "dockerfiles-with-context/") {
		context = filepath.Join(dir, filepath.FromSlash(path.Dir(file)))
		c.Name = path.Base(path.Dir(file))
	}
	c.write = func(out string) error {
		if err := copyTree(out, context); err != nil {
			return err
		}
		for _, suffix := range []string{"", ".dockerignore"} {
			data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(file)) + suffix)
			if os.IsNotExist(err) && suffix != "" {
				break
			}
			if err != nil {
				return err
			}
			if suffix == "" {
				data = t.rewrite(data)
			}
			if err := writeFile(filepath.Join(out, name)+suffix, data); err != nil {
				return err
			}
		}
		return settle(out, stamp())
	}
	return c
}

// rewrite makes the changes that [integration] lists.
func (t treatment) rewrite(dockerfile []byte) []byte {
	dockerfile = regexp.MustCompile(`@sha256:[0-9a-f]{64}`).ReplaceAll(dockerfile, nil)
	for name, value := range t.args {
		declared := regexp.MustCompile(`(?m)^ARG ` + regexp.QuoteMeta(name) + `$`)
		dockerfile = declared.ReplaceAll(dockerfile, []byte("ARG "+name+"="+strings.ReplaceAll(value, "$", "$$")))
	}
	for _, line := range t.lines {
		dockerfile = bytes.Replace(dockerfile, []byte("\n"+line+"\n"), []byte("\n"), 1)
	}
	return dockerfile
}

// copyTree copies the files of a module, with the modes that they had before
// the module cache made them read-only.
func copyTree(dst, src string) error {
	return fs.WalkDir(os.DirFS(src), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(dst, filepath.FromSlash(name))
		if entry.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		data, err := fs.ReadFile(os.DirFS(src), name)
		if err != nil {
			return err
		}
		return writeFile(to, data)
	})
}
