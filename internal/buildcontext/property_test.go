package buildcontext_test

import (
	"archive/tar"
	"bytes"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"kiln/internal/buildcontext"
)

var nameParts = []string{"a", "b", "a-b", "a.b", "ab", "ü", "raw\xff", "a b", "..a", "-", strings.Repeat("n", 255)}

// drawTree draws a well-formed context.
func drawTree(t *rapid.T) []member {
	tree := map[string]member{}
	for range rapid.IntRange(0, 12).Draw(t, "entries") {
		name := rapid.SampledFrom(nameParts).Draw(t, "name")
		if dirs := directories(tree); len(dirs) > 0 && rapid.Bool().Draw(t, "below") {
			name = path.Join(rapid.SampledFrom(dirs).Draw(t, "directory"), name)
		}
		m := rapid.SampledFrom([]member{dir(name, 0), file(name, rapid.StringN(0, 40, -1).Draw(t, "content")), link(name, "t"+rapid.StringMatching(`[a-z./]{0,150}`).Draw(t, "target"))}).Draw(t, "member")
		m.ModTime = time.Unix(rapid.Int64Range(-10, 1<<34).Draw(t, "seconds"), rapid.Int64Range(0, 999999999).Draw(t, "nanoseconds"))
		if m.Typeflag != tar.TypeSymlink {
			m.Mode = rapid.Int64Range(0, 0o7777).Draw(t, "mode")
		}
		if _, taken := tree[name]; !taken {
			tree[name] = m
		}
	}
	var members []member
	for _, name := range slices.SortedFunc(maps.Keys(tree), buildcontext.CompareNames) {
		members = append(members, tree[name])
	}
	return members
}

func directories(tree map[string]member) []string {
	var out []string
	for name, m := range tree {
		if m.Typeflag == tar.TypeDir {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func TestCompareNamesByComponent(t *testing.T) {
	name := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom(nameParts), 1, 4).Draw(t, "parts"), "/")
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := name.Draw(t, "a"), name.Draw(t, "b")
		want := slices.Compare(strings.Split(a, "/"), strings.Split(b, "/"))
		if got := buildcontext.CompareNames(a, b); got != want {
			t.Errorf("CompareNames(%q, %q) = %d, want %d", a, b, got, want)
		}
	})
}

func TestCanonicalIsFixpoint(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		packed, sum := canonical(t, pack(t, drawTree(rt)...))
		again, againSum := canonical(t, plain(t, packed))
		if sum != againSum || !bytes.Equal(packed, again) {
			rt.Errorf("summary %+v became %+v, same bytes %t", sum, againSum, bytes.Equal(packed, again))
		}
	})
}

// TestDigestCoversContent makes one change to one entry: the digest must show
// it, unless it is one of time or owner.
func TestDigestCoversContent(t *testing.T) {
	changes := map[string]func(m *member){
		"path":    func(m *member) { m.Name += "z" },
		"mode":    func(m *member) { m.Mode ^= 0o100 },
		"special": func(m *member) { m.Mode ^= 0o4000 },
		"content": func(m *member) { m.Content += "x"; m.Size++ },
		"byte":    func(m *member) { m.Content = strings.Repeat("\x00", len(m.Content)) },
		"target":  func(m *member) { m.Linkname += "x" },
		"type":    func(m *member) { *m = link(m.Name, "x") },
		"time":    func(m *member) { m.ModTime = m.ModTime.Add(time.Hour) },
		"owner":   func(m *member) { m.Uid++; m.Gname = "x" },
	}
	applies := map[string]func(m member) bool{
		"mode":    func(m member) bool { return m.Typeflag != tar.TypeSymlink },
		"special": func(m member) bool { return m.Typeflag != tar.TypeSymlink },
		"content": func(m member) bool { return m.Typeflag == tar.TypeReg },
		"byte":    func(m member) bool { return strings.Trim(m.Content, "\x00") != "" },
		"target":  func(m member) bool { return m.Typeflag == tar.TypeSymlink },
		"type":    func(m member) bool { return m.Typeflag == tar.TypeReg },
	}
	rapid.Check(t, func(rt *rapid.T) {
		members := append(drawTree(rt), file("\xff", "last"))
		_, before := canonical(t, pack(t, members...))
		what := rapid.SampledFrom([]string{"path", "mode", "special", "content", "byte", "target", "type", "time", "owner"}).Draw(rt, "change")
		// The last entry can be renamed without breaking the order.
		at := len(members) - 1
		if what != "path" {
			at = rapid.IntRange(0, at).Draw(rt, "entry")
		}
		if fits := applies[what]; fits != nil && !fits(members[at]) {
			return
		}
		changes[what](&members[at])
		_, after := canonical(t, pack(t, members...))
		if got, want := before.Digest == after.Digest, what == "time" || what == "owner"; got != want {
			rt.Errorf("after a change of the %s of %q the digest is the same: %t, want %t", what, members[at].Name, got, want)
		}
	})
}

func FuzzCanonical(f *testing.F) {
	f.Add(pack(f, file("Dockerfile", "FROM scratch\n")), true)
	f.Add(pack(f, dir("a", 0o755), file("a/b", "x"), link("a/c", "/etc"), file("ü", "")), true)
	f.Add(pack(f, link("a", "/"), file("a/passwd", "x")), true)
	f.Add(pack(f, with(file("a", "x"), func(m *member) { m.Format = tar.FormatGNU })), true)
	f.Add(pack(f, with(file(strings.Repeat("d", 120), "x"), func(m *member) { m.PAXRecords = map[string]string{"KILN.x": "y"} })), true)
	f.Fuzz(func(t *testing.T, data []byte, repair bool) {
		if repair {
			data = repaired(data)
		}
		limits := buildcontext.Limits{Bytes: 1 << 20, Entries: 100}
		var packed bytes.Buffer
		sum, err := buildcontext.Canonical(&packed, bytes.NewReader(data), limits)
		if err != nil {
			if !isInputError(err) {
				t.Errorf("got error %v, want an InputError", err)
			}
			return
		}
		checkSafe(t, unpack(t, plain(t, packed.Bytes())), sum, limits)
		again, againSum := canonical(t, plain(t, packed.Bytes()))
		if sum != againSum || !bytes.Equal(again, packed.Bytes()) {
			t.Errorf("not a fixpoint: %+v became %+v", sum, againSum)
		}
	})
}

// repaired gives all headers in data their checksums, so that changes get past
// these.
func repaired(data []byte) []byte {
	for at := 0; at+512 <= len(data); at += 512 {
		if bytes.Equal(data[at+257:at+262], []byte("ustar")) {
			data = forge(data, at, func([]byte) {})
		}
	}
	return data
}

// checkSafe states what an extraction relies on, without a look at how
// Canonical comes to it.
func checkSafe(t *testing.T, members []member, sum buildcontext.Summary, l buildcontext.Limits) {
	t.Helper()
	dirs := map[string]bool{".": true}
	seen := map[string]bool{}
	var size int64
	for _, m := range members {
		name := strings.TrimSuffix(m.Name, "/")
		switch {
		case name != path.Clean(name), path.IsAbs(name), name == ".", name == "..", strings.HasPrefix(name, "../"):
			t.Errorf("unclean name %q", m.Name)
		case seen[name]:
			t.Errorf("%q comes twice", name)
		case !dirs[path.Dir(name)]:
			t.Errorf("%q has no directory", name)
		case m.Typeflag != tar.TypeReg && m.Typeflag != tar.TypeDir && m.Typeflag != tar.TypeSymlink:
			t.Errorf("%q is of type %q", name, m.Typeflag)
		}
		seen[name] = true
		dirs[name] = m.Typeflag == tar.TypeDir
		size += int64(len(m.Content))
	}
	if sum.Entries != len(members) || sum.Bytes != size || sum.Entries > l.Entries || sum.Bytes > l.Bytes {
		t.Errorf("summary %+v of %d entries and %d bytes within %+v", sum, len(members), size, l)
	}
}
