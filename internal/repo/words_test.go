package repo_test

import (
	"bytes"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// tracked lists the files that git tracks or would track, without removed ones. It skips
// the test where there is no git or no repository, as in a source archive.
func tracked(t *testing.T) []string {
	t.Helper()
	if err := exec.CommandContext(t.Context(), "git", "-C", root, "rev-parse").Run(); err != nil {
		t.Skipf("no git work tree: %v", err)
	}
	files := strings.Split(command(t, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"), "\x00")
	slices.Sort(files)
	return slices.DeleteFunc(slices.Compact(files), func(file string) bool {
		info, err := os.Lstat(filepath.Join(root, file))
		return err != nil || !info.Mode().IsRegular()
	})
}

// A wording is what a file must not say.
type wording struct {
	pattern *regexp.Regexp
	hints   []string // every match has one of them in it, in lower case: a look for them is cheap
	files   string   // a path.Match pattern for the base name
	why     string
}

// hinted reports whether a text in lower case has any of the hints.
func (w wording) hinted(text []byte) bool {
	return slices.ContainsFunc(w.hints, func(hint string) bool { return bytes.Contains(text, []byte(hint)) })
}

// wordings lists the refused words. A file states what is there now: a promise is stale
// on the day it is kept, and a limit reads "kiln does not do X".
func wordings(t *testing.T) []wording {
	t.Helper()
	list := []wording{
		{regexp.MustCompile(`\b(TODO|FIXME)\b`), []string{"todo", "fixme"}, "*", "work to do is kept in the tracker"},
		{regexp.MustCompile(`\.\./shared\b`), []string{"../shared"}, "*", "not part of this repository"},
		{regexp.MustCompile(`(?i)\b(later|next|previous|this) issue\b`), []string{" issue"}, "*", "a reader of the code has no issue at hand"},
		{regexp.MustCompile(`(?i)\b(not yet|for now|coming soon|planned|in the future|will be added)\b`), []string{"not yet", "for now", "coming soon", "planned", "in the future", "will be added"}, "*.md", "documents state the present"},
	}
	// Which mirror modules come from is a setting of the machine.
	for _, proxy := range strings.FieldsFunc(command(t, "go", "env", "GOPROXY"), func(r rune) bool { return r == ',' || r == '|' }) {
		if u, err := url.Parse(strings.TrimSpace(proxy)); err == nil && u.Hostname() != "" {
			list = append(list, wording{regexp.MustCompile(regexp.QuoteMeta(u.Hostname())), []string{strings.ToLower(u.Hostname())}, "*", "the package mirror is a setting of the machine"})
		}
	}
	return list
}

// TestWords looks for refused words in every tracked text file but those that quote them.
func TestWords(t *testing.T) {
	quoting := []string{"internal/repo/words_test.go", "LICENSE"}
	list := wordings(t)
	for _, file := range tracked(t) {
		data, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(quoting, file) || path.Base(file) == "go.sum" || bytes.IndexByte(data, 0) >= 0 {
			continue
		}
		lower := bytes.ToLower(data)
		for _, w := range list {
			if match, _ := path.Match(w.files, path.Base(file)); !match || !w.hinted(lower) {
				continue
			}
			if at := w.pattern.FindIndex(data); at != nil {
				line := bytes.Count(data[:at[0]], []byte("\n")) + 1
				t.Errorf("%s:%d: says %q: %s", file, line, data[at[0]:at[1]], w.why)
			}
		}
	}
}
