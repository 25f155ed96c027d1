// Package corpus holds the Dockerfiles that kiln and Docker's builder are
// compared on: those of Kaniko's own integration tests, constructs seen in
// Dockerfiles of published actions, and the project's own, which go through
// the Dockerfile reference.
package corpus

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// The suites.
const (
	// Reference goes through the Dockerfile reference.
	Reference = "reference"
	// Wild has constructs of published actions.
	Wild = "wild"
	// Kaniko has the Dockerfiles of Kaniko's integration tests.
	Kaniko = "kaniko"
	// Limits has Dockerfiles that come out differently: some of them cannot be
	// told from the Dockerfile and its context, the others are refused.
	Limits = "limits"
	// Split has Dockerfiles that a split into two parts could get wrong.
	Split = "split"
)

// Case is one Dockerfile with its context.
type Case struct {
	// Name is unique in the Suite.
	Suite, Name string
	// Covers says in one line what the case is about.
	Covers string
	// Dockerfile is its path in the context's directory.
	Dockerfile string
	// Bases maps image references of the Dockerfile to names of local bases,
	// where [Base] would choose another one.
	Bases map[string]string
	// Slow says that the case takes more than a second or two.
	Slow bool
	// write fills the directory with the context.
	write func(dir string) error
}

// ID names the case among all: suite/name.
func (c Case) ID() string { return c.Suite + "/" + c.Name }

// Write fills an empty directory with the context and returns the path of the
// Dockerfile. All times are old: see [stamp].
func (c Case) Write(dir string) (string, error) {
	if err := c.write(dir); err != nil {
		return "", fmt.Errorf("write the context of %s: %w", c.ID(), err)
	}
	return filepath.Join(dir, filepath.FromSlash(c.Dockerfile)), nil
}

// stamp is the modification time of context files that set none.
func stamp() time.Time { return time.Unix(1_000_000_000, 0).UTC() }

// archived is the same for what is in archives, so that a file that was copied
// can be told from one that was unpacked.
func archived() time.Time { return time.Unix(1_200_000_000, 0).UTC() }

// Load reads all suites: the project's from dir, Kaniko's from the directory of
// its module. In the project's, @BUSYBOX stands for the digest of busybox.
func Load(dir, kaniko, busybox string) ([]Case, error) {
	var all []Case
	for _, suite := range []string{Reference, Wild, Split, Limits} {
		cases, err := archives(filepath.Join(dir, suite), suite, busybox)
		if err != nil {
			return nil, err
		}
		all = append(all, cases...)
	}
	cases, err := integration(filepath.Join(dir, "kaniko.txt"), filepath.Join(kaniko, "integration"))
	return append(all, cases...), err
}

// archives reads the cases that are kept as txtar files.
func archives(dir, suite, busybox string) ([]Case, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s holds no case", dir)
	}
	slices.Sort(files)
	var cases []Case
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read case: %w", err)
		}
		c, err := parse(bytes.ReplaceAll(data, []byte("@BUSYBOX"), []byte("@"+busybox)))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		c.Suite, c.Name = suite, strings.TrimSuffix(filepath.Base(file), ".txtar")
		cases = append(cases, c)
	}
	return cases, nil
}
