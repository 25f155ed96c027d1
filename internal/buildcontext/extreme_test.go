package buildcontext_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kiln/internal/buildcontext"
)

// deepen makes nested directories of 200 bytes each below root, and a file in
// the last one: a path that no program can name from /.
func deepen(t *testing.T, root string, levels int) {
	t.Helper()
	dir, err := os.OpenRoot(root)
	if err != nil {
		t.Fatal(err)
	}
	component := strings.Repeat("d", 200)
	for range levels {
		err := dir.Mkdir(component, 0o755)
		if err != nil {
			t.Fatal(err)
		}
		next, err := dir.OpenRoot(component)
		if err != nil {
			t.Fatal(err)
		}
		dir.Close()
		dir = next
	}
	defer dir.Close()
	if err := dir.WriteFile("file", []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// A tree may be deeper than any path: docker build fails on it, too. Excluded,
// it is in nobody's way.
func TestStagePathTooLong(t *testing.T) {
	root := contextDir(t, map[string]string{"Dockerfile": "FROM a", "deep/": ""})
	deepen(t, filepath.Join(root, "deep"), 25)
	_, err := buildcontext.Stage(io.Discard, filepath.Join(root, "Dockerfile"), buildcontext.Limits{})
	if !isInputError(err) || !strings.HasPrefix(err.Error(), "deep/dddd") || !strings.Contains(err.Error(), "the path is longer than the 4095 bytes") {
		t.Errorf("got error %v", err)
	}
	if err != nil && len(err.Error()) > 1<<10 {
		t.Errorf("the error has %d bytes", len(err.Error()))
	}
	put(t, root, ".dockerignore", "deep\n")
	members, _ := stage(t, root)
	if diff := cmp.Diff([]string{".dockerignore", "Dockerfile"}, names(members)); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

// A file that is too large is refused by its size, unread.
func TestStageSparseFile(t *testing.T) {
	root := contextDir(t, map[string]string{"Dockerfile": "FROM a", "big": "", "small": "s"})
	if err := os.Truncate(filepath.Join(root, "big"), 2<<30); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	_, err := buildcontext.Stage(&out, filepath.Join(root, "Dockerfile"), buildcontext.Limits{Bytes: 1 << 20})
	wantInputError(t, err, "big", "the build context is larger than 1 MiB (1048576 bytes), and up to here most of it is big with 2 GiB; exclude what the build does not need in .dockerignore, or have KILN_CONTEXT_MAX_BYTES raised")
	if out.Len() > 1<<20 {
		t.Errorf("%d bytes were written", out.Len())
	}
	put(t, root, ".dockerignore", "big\n")
	if members, _ := stage(t, root); len(members) != 3 {
		t.Errorf("entries = %v", names(members))
	}
}

// As many entries as the limit allows are taken; one more is refused.
func TestBoundsOfEntries(t *testing.T) {
	skipUnderRaceDetector(t)
	limit := buildcontext.DefaultLimits().Entries
	members := make([]member, limit+1)
	for i := range members {
		members[i] = file(fmt.Sprintf("%06d", i), "")
	}
	sum, err := buildcontext.Canonical(io.Discard, bytes.NewReader(pack(t, members[:limit]...)), buildcontext.Limits{})
	if err != nil || sum.Entries != limit {
		t.Errorf("took %d entries, error %v; want %d", sum.Entries, err, limit)
	}
	_, err = buildcontext.Canonical(io.Discard, bytes.NewReader(pack(t, members...)), buildcontext.Limits{})
	wantInputError(t, err, "100000", "the build context has more than 100000 entries")
}
