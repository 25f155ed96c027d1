package oracle_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	rooted "github.com/containerd/continuity/fs"
	"github.com/google/go-cmp/cmp"
	archive "github.com/moby/go-archive"
	"github.com/moby/go-archive/chrootarchive"
	fsutil "github.com/tonistiigi/fsutil/copy"

	"kiln/internal/assemble"
	"kiln/internal/buildcontext"
	"kiln/internal/split"
	"kiln/internal/tarball"
	"kiln/internal/treeindex"
)

// What kiln unpacks of an archive is what BuildKit's own code does, on top of any tree.
func TestArchivesAsBuildKit(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("owners and roots are root's to set")
	}
	// As buildkitd does in its beginning.
	fsutil.UmaskIsZero = true
	defer syscall.Umask(syscall.Umask(0))
	const rounds = 300
	random := rand.New(rand.NewPCG(1, 2))
	count := map[string]int{}
	for round := range rounds {
		dir := t.TempDir()
		below := filepath.Join(dir, "below")
		grow(t, random, below, 2)
		base := packed(t, below)
		added, dest := drawn(t, random), []string{"/", "/a", "/a/b/", "/l", "/l/a", "/n/m"}[random.IntN(6)]
		add := "ADD --chown=7:8 x.tar " + dest
		by := &fsutil.User{UID: 7, GID: 8}
		if random.IntN(2) == 0 {
			add, by = "ADD x.tar "+dest, nil
		}
		got, err := unpackedByKiln(t, base, added, add)
		wantErr := unpackByBuildKit(below, added, dest, by)
		if err != nil {
			if !errors.As(err, new(*split.Unsure)) {
				t.Fatal(err)
			}
			if count["unsure"]++; wantErr == nil {
				count["unsure without need"]++
			}
			continue
		}
		if wantErr != nil {
			t.Fatalf("round %d: only kiln does %s: %v\n%s\nonto\n%s", round, add, wantErr, listing(t, added), listing(t, base))
		}
		count["done"]++
		above := filepath.Join(dir, "above")
		for _, layer := range [][]byte{base, got} {
			if err := os.MkdirAll(above, 0o755); err != nil {
				t.Fatal(err)
			}
			if _, err := chrootarchive.ApplyUncompressedLayer(above, bytes.NewReader(layer), nil); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(seen(t, below), seen(t, above)); diff != "" {
			t.Fatalf("round %d: %s of\n%s\nonto\n%s(-buildkit +kiln):\n%s", round, add, listing(t, added), listing(t, base), diff)
		}
	}
	t.Log(count)
	if count["done"] < rounds/5 || count["unsure"] == 0 {
		t.Errorf("too little was done for a test: %v", count)
	}
}

// draw picks one.
func draw[T any](random *rand.Rand, from ...T) T { return from[random.IntN(len(from))] }

// grow makes a directory with what few names can be, whoever's and of any mode.
func grow(t *testing.T, random *rand.Rand, dir string, depth int) {
	t.Helper()
	err := os.MkdirAll(dir, 0o755)
	for _, name := range []string{"a", "b", "l"} {
		at := filepath.Join(dir, name)
		switch random.IntN(4) {
		case 0:
			err = errors.Join(err, os.WriteFile(at, []byte("below"), 0o640), os.Lchown(at, 5, 6))
		case 1:
			if depth == 0 {
				continue
			}
			grow(t, random, at, depth-1)
			err = errors.Join(err, os.Chown(at, draw(random, 0, 5), draw(random, 0, 6)), syscall.Chmod(at, draw[uint32](random, 0o755, 0o2775, 0o1700)))
		case 2:
			err = errors.Join(err, os.Symlink(draw(random, "a", "b", "/a", "/b/a", "../b", "nothing"), at))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// drawn is an archive of a few entries whose names and links meet.
func drawn(t *testing.T, random *rand.Rand) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for range 1 + random.IntN(8) {
		name := draw(random, "", "", "", "./", "/", "b/../") + draw(random, "a", "b", "l", "n")
		for range random.IntN(3) {
			name += "/" + draw(random, "a", "b", "l", ".")
		}
		at := time.Unix(1_000_000_000+random.Int64N(1000), draw[int64](random, 0, 5e8))
		h := &tar.Header{Format: tar.FormatPAX, Name: name, Mode: draw[int64](random, 0o644, 0o4755, 0o2711, 0o1777, 0), Uid: draw(random, 0, 3), Gid: draw(random, 0, 4), ModTime: at}
		content := ""
		switch random.IntN(10) {
		case 0, 1, 2:
			h.Typeflag = tar.TypeDir
		case 3, 4:
			h.Typeflag, h.Linkname = tar.TypeSymlink, draw(random, "a", "b", "/a", "../b", "l/b", "nothing", "../../..")
		case 5:
			h.Typeflag = tar.TypeFifo
		default:
			h.Typeflag, content = tar.TypeReg, fmt.Sprint(random.IntN(1000))
		}
		h.Size = int64(len(content))
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// packed is what is in a directory.
func packed(t *testing.T, dir string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for name, at := range entries(t, dir) {
		h, err := tar.FileInfoHeader(at.info, at.target)
		if err != nil {
			t.Fatal(err)
		}
		h.Name, h.Format, h.AccessTime, h.ChangeTime = name, tar.FormatPAX, time.Time{}, time.Time{}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, at.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// found is an entry of a directory.
type found struct {
	info            os.FileInfo
	target, content string
}

// entries lists a directory, each before what is in it.
func entries(t *testing.T, dir string) func(yield func(string, found) bool) {
	t.Helper()
	all := map[string]found{}
	err := filepath.WalkDir(dir, func(at string, entry os.DirEntry, err error) error {
		if err != nil || at == dir {
			return err
		}
		info, err := entry.Info()
		of := found{info: info}
		switch {
		case err != nil:
		case info.Mode().IsRegular():
			var content []byte
			content, err = os.ReadFile(at)
			of.content = string(content)
		case info.Mode().Type() == os.ModeSymlink:
			of.target, err = os.Readlink(at)
		}
		all[strings.TrimPrefix(at, dir+"/")] = of
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return func(yield func(string, found) bool) {
		for _, name := range slices.Sorted(maps.Keys(all)) {
			if !yield(name, all[name]) {
				return
			}
		}
	}
}

// seen is what a step sees of a directory. A directory's own time is of no matter.
func seen(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for name, of := range entries(t, dir) {
		own := of.info.Sys().(*syscall.Stat_t)
		text := fmt.Sprintf("%s %d:%d %s%s", of.info.Mode(), own.Uid, own.Gid, of.target, of.content)
		if !of.info.IsDir() {
			text += of.info.ModTime().UTC().Format(" at 05.999")
		}
		all[name] = text
	}
	return all
}

// listing shows an archive.
func listing(t *testing.T, content []byte) string {
	t.Helper()
	var text strings.Builder
	for r := tar.NewReader(bytes.NewReader(content)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return text.String()
		}
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&text, "  %c %s %o %d:%d %s\n", h.Typeflag, h.Name, h.Mode, h.Uid, h.Gid, h.Linkname)
	}
}

// unpackByBuildKit does what unpack in BuildKit's solver/llbsolver/file does.
func unpackByBuildKit(root string, content []byte, dest string, by *fsutil.User) error {
	at, err := rooted.RootPath(root, path.Clean(dest))
	if err != nil {
		return err
	}
	options := &archive.TarOptions{BestEffortXattrs: true}
	var chown fsutil.Chowner
	if by != nil {
		options.ChownOpts = &archive.ChownOpts{UID: by.UID, GID: by.GID}
		chown = func(*fsutil.User) (*fsutil.User, error) { return by, nil }
	}
	if _, err := fsutil.MkdirAll(at, 0o755, chown, nil); err != nil {
		return err
	}
	return chrootarchive.Untar(bytes.NewReader(content), at, options)
}

// unpackedByKiln is the layer that kiln writes for an ADD.
func unpackedByKiln(t *testing.T, base, added []byte, add string) ([]byte, error) {
	t.Helper()
	var context, canonical bytes.Buffer
	w := tar.NewWriter(&context)
	err := w.WriteHeader(&tar.Header{Name: "x.tar", Mode: 0o644, Size: int64(len(added))})
	if err == nil {
		_, err = w.Write(added)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	_, tree, err := buildcontext.CanonicalTree(&canonical, &context, buildcontext.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	index, err := treeindex.Read("l", bytes.NewReader(base))
	if err != nil {
		t.Fatal(err)
	}
	below, err := treeindex.Overlay(t.Context(), index)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := split.Decide(split.Input{
		Dockerfile: []byte("FROM base\n" + add + "\n"), Tree: tree, Bases: map[string]split.Base{"base": {}},
		Archive: func(string) (tarball.Facts, bool) {
			facts, err := tarball.Look(t.Context(), bytes.NewReader(added), tarball.Watch{})
			return facts, err == nil
		},
	})
	if err != nil || len(plan.Rest) == 0 {
		t.Fatalf("not split: %v", err)
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(canonical.Bytes())), nil }
	archives, err := assemble.Archives(t.Context(), plan, open)
	if err != nil {
		return nil, err
	}
	image, err := assemble.Assemble(t.Context(), assemble.Input{
		Plan: plan, Config: []byte(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers"}}`), Below: below, Context: tree, Archives: archives,
	})
	if err != nil {
		return nil, err
	}
	var layer bytes.Buffer
	if _, err := image.WriteLayer(t.Context(), &layer, open); err != nil {
		t.Fatal(err)
	}
	gz, err := gzip.NewReader(&layer)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(gz)
	if err != nil {
		t.Fatal(err)
	}
	return content, nil
}
