package trial

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"

	"kiln/e2e/parity/internal/compare"
	"kiln/internal/buildcontext"
)

// copied tells the modification times that files have which COPY, or ADD of what
// is no archive, may copy. kiln gives the whole context one time, and of the
// executors that it knows one copies that and the other gives those files the
// time of the build, in every Dockerfile. So this one difference is counted and does not decide a verdict. Times of
// what is unpacked, downloaded, or in the base are not among these, but for
// those of links, which no executor sets.
type copied struct {
	// times are those of the context.
	times map[string]bool
	// stages says that files are copied from other stages or images, whose
	// times can be any.
	stages bool
}

// newCopied reads a context and its Dockerfile.
func newCopied(dockerfile string) (copied, error) {
	c := copied{times: map[string]bool{}}
	data, err := os.ReadFile(dockerfile)
	if err != nil {
		return c, err
	}
	c.stages = bytes.Contains(data, []byte("--from="))
	// Heredocs have the time of the build with Docker.
	c.times[compare.Run] = bytes.Contains(data, []byte("<<"))
	err = filepath.WalkDir(filepath.Dir(dockerfile), func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			c.times[compare.Time(info.ModTime())] = true
		}
		return err
	})
	return c, err
}

// lost says that a difference is the time of what was copied.
func (c copied) lost(d compare.Difference) bool {
	if d.Kiln != compare.Run && d.Kiln != compare.Time(buildcontext.Time()) {
		return false
	}
	return d.Attribute == compare.LinkTime || d.Attribute == compare.FileTime && (c.stages || c.times[d.Docker])
}
