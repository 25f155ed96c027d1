package assemble_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kiln/internal/assemble"
	"kiln/internal/split"
)

// unpacked assembles a rest over a context that has "a" and the archive "x.tar" of such
// lines as pack takes, with the time of the half second after 2001 began.
func unpacked(t testing.TB, rest, archive string) (assembled, error) {
	t.Helper()
	content := packAt(t, time.Date(2001, 1, 1, 0, 0, 0, 5e8, time.UTC), strings.Split(archive, "\n"))
	in, canonical := inputOf(t, "FROM base\n"+rest+"\n", contextOf(t, content), map[string][]byte{"x.tar": content})
	image, err := assemble.Assemble(t.Context(), in)
	return assembled{in.Plan, image, canonical}, err
}

// contextOf is a context with "a" and "x.tar".
func contextOf(t testing.TB, archive []byte) []byte {
	t.Helper()
	var context bytes.Buffer
	w := tar.NewWriter(&context)
	for _, name := range []string{"a", "x.tar"} {
		content := map[string][]byte{"a": []byte("A"), "x.tar": archive}[name]
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return context.Bytes()
}

// TestUnpack is what moby/go-archive makes of an archive below the target.
func TestUnpack(t *testing.T) {
	for _, test := range []struct{ name, archive, rest, want string }{
		{
			"modes, owners and times", "d/ 2711@3:4\nd/f 4640@3:4 F\nl -> d/f\np |", "ADD x.tar /n/m",
			"n/ 755\nn/m/ 755\nn/m/d/ 2711@3:4 at 2001.5\nn/m/l -> d/f at 2001.5\nn/m/p| 640 at 2001.5\nn/m/d/f 4640@3:4 F at 2001.5",
		},
		{"directories without an entry are root's", "d/e/f 600@3:4 F", "ADD x.tar /n/", "n/ 755\nn/d/ 755\nn/d/e/ 755\nn/d/e/f 600@3:4 F at 2001.5"},
		{"the top stays", "./ 700@3:4\n./f 644 F", "ADD x.tar /opt/", "opt/ 700@7:8\nopt/f 644 F at 2001.5"},
		{"a directory that is there changes", "sub/ 1777@3:4", "ADD x.tar /opt/", "opt/ 700@7:8\nopt/sub/ 1777@3:4 at 2001.5"},
		{"names with a slash or dots", "/b/../f 644 F\n./g/. 644", "ADD x.tar /n/", "n/ 755\nn/f 644 F at 2001.5\nn/g 644 at 2001.5"},
		{"an owner, and a mode that does not count", "f 640@3:4 F\nd/g 644 G", "ADD --chown=app --chmod=700 x.tar /n/", "n/ 755@1000:1001\nn/d/ 755\nn/f 640@1000:1001 F at 2001.5\nn/d/g 644@1000:1001 G at 2001.5"},
		{"the last of a name", "f 640 1\nf 600 2\ng 644 G\ng -> f", "ADD x.tar /n/", "n/ 755\nn/g -> f at 2001.5\nn/f 600 2 at 2001.5"},
		{"a file over a directory", "opt 644 F", "ADD x.tar /", "opt 644 F at 2001.5"},
		{"a file over a directory of the rest", "d 644 F", "COPY a /n/d/e/a\nCOPY a /n/da\nADD x.tar /n", "n/ 755\nn/da 644 A\nn/d 644 F at 2001.5"},
		{"a directory over a link", "current/ 750\ncurrent/f 644 F", "ADD x.tar /", "current/ 750 at 2001.5\ncurrent/f 644 F at 2001.5"},
		{"behind a link of the base", "current/f 644 F", "ADD x.tar /", "opt/ 700@7:8\nopt/f 644 F at 2001.5"},
		{"behind a link of its own", "d/ 755\nl -> d\nl/f 644 F", "ADD x.tar /n/", "n/ 755\nn/d/ 755 at 2001.5\nn/l -> d at 2001.5\nn/d/f 644 F at 2001.5"},
		{"absolute links lead to below the target", "d/ 755\nl -> /d\nl/f 644 F", "ADD x.tar /n/", "n/ 755\nn/d/ 755 at 2001.5\nn/l -> /d at 2001.5\nn/d/f 644 F at 2001.5"},
		{"a link that a directory replaces", "d/ 755\nl -> d\nl/x/f 644 F\nl/ 700\nl/x/f 600 G", "ADD x.tar /n/", "n/ 755\nn/d/ 755 at 2001.5\nn/d/x/ 755\nn/l/ 700 at 2001.5\nn/l/x/ 755\nn/d/x/f 644 F at 2001.5\nn/l/x/f 600 G at 2001.5"},
		{"below a directory with setgid", "d/f 644 F", "ADD x.tar /srv/n/", "srv/ 2775@0:50\nsrv/n/ 2755@0:50\nsrv/n/d/ 2755\nsrv/n/d/f 644 F at 2001.5"},
		{"with a file that is none", "f 644 F", "ADD a x.tar /n/", "n/ 755\nn/a 644 A\nn/f 644 F at 2001.5"},
		{"by a pattern, and as a file", "f 644 F", "ADD *.tar /n/\nCOPY *.tar /m/\nRUN chmod 600 /n/f", "m/ 755\nn/ 755\nn/f 600 F at 2001.5\nm/x.tar 644 …"},
		{"twice", "f 644 F", "ADD x.tar /n/\nADD x.tar /m/", "m/ 755\nn/ 755\nm/f 644 F at 2001.5\nn/f 644 F at 2001.5"},
		{"whatever is excluded", "f 644 F", "ADD --exclude=f --exclude=x.tar x.tar /n/", "n/ 755\nn/f 644 F at 2001.5"},
		{"with --link", "current/f 644 F", "ADD --link x.tar /", "current/ 755\ncurrent/f 644 F at 2001.5"},
		{"nothing but the target", "./", "ADD x.tar /n", "n/ 755"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := unpacked(t, test.rest, test.archive)
			if err != nil {
				t.Fatal(err)
			}
			layer := got.layer(t)
			if at := strings.Index(layer, "x.tar 644 "); at >= 0 {
				layer = layer[:at] + "x.tar 644 …"
			}
			if diff := cmp.Diff(test.want, layer); diff != "" {
				t.Errorf("the layer (-want +got):\n%s", diff)
			}
		})
	}
}

// TestUnpackUnsure leaves to Kaniko what Docker cannot unpack, or unpacks to a place that
// is not certain.
func TestUnpackUnsure(t *testing.T) {
	const unsure = "what the archive unpacks is not certain"
	for name, tt := range map[string]struct{ archive, want string }{
		"below a file":                      {"file/f 644 F", unsure},
		"below a file of its own":           {"f 644 F\nf/g 644 G", unsure},
		"behind a link to nothing":          {"l -> nothing\nl/f 644 F", unsure},
		"behind a link to a file":           {"l -> file\nl/f 644 F", unsure},
		"behind a link that turns":          {"l -> current/..\nl/f 644 F", "a link leads somewhere on a way that programs may go in another way"},
		"behind links to each other":        {"l -> m\nm -> l\nl/f 644 F", "\"l\": too many links"},
		"a directory, a file, and again":    {"opt 644 F\nopt/ 755", "/opt was a directory, something else, and a directory again"},
		"a directory that is no more":       {"d/ 755\nd 644 F", unsure},
		"a directory in one that is a link": {"d/e/ 755\nd -> opt", unsure},
		"a link on its own way":             {"d/ 755\nd/l -> ..\nd/l/d/l 644 F", unsure},
		"a directory on its own way":        {"d/l -> ..\nd/l/d 644 F", unsure},
		"a long name":                       {strings.Repeat("n", 256) + " 644", "a name is too long"},
		"a long name of a directory":        {strings.Repeat("n", 256) + "/f 644", "a name is too long"},
		"a long path":                       {strings.Repeat("n/", 1930) + "f 644", "a name is too long"},
	} {
		_, err := unpacked(t, "ADD x.tar /", tt.archive)
		u, ok := errors.AsType[*split.Unsure](err)
		if !ok || u.Reason != tt.want {
			t.Errorf("%s: the error is %v, want %q", name, err, tt.want)
		}
	}
}

// TestArchivesAmount bounds what the archives of one rest have together.
func TestArchivesAmount(t *testing.T) {
	lines := make([]string, 3600)
	for i := range lines {
		lines[i] = fmt.Sprintf("%s%04d 644", strings.Repeat(strings.Repeat("n", 249)+"/", 14), i)
	}
	archive := pack(t, lines...)
	plan := &split.Plan{Archives: []string{"one", "two"}}
	var context bytes.Buffer
	gz, err := gzip.NewWriterLevel(&context, gzip.NoCompression)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(gz)
	for _, name := range plan.Archives {
		if err := w.WriteHeader(&tar.Header{Name: "context/" + name, Mode: 0o644, Size: int64(len(archive))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(archive); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), gz.Close()); err != nil {
		t.Fatal(err)
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(context.Bytes())), nil }
	_, err = assemble.Archives(t.Context(), plan, open)
	if u, ok := errors.AsType[*split.Unsure](err); !ok || u.Reason != "it makes too many files with long names" {
		t.Errorf("the error is %v", err)
	}
	plan.Archives = plan.Archives[:1]
	if all, err := assemble.Archives(t.Context(), plan, open); err != nil || len(all["one"]) != len(lines) {
		t.Errorf("of one archive: %d entries, %v", len(all["one"]), err)
	}
}

// TestUnpackUnlisted is about an archive that nobody has listed.
func TestUnpackUnlisted(t *testing.T) {
	archive := pack(t, "f 644")
	in, _ := inputOf(t, "FROM base\nADD x.tar /x\n", contextOf(t, archive), map[string][]byte{"x.tar": archive})
	in.Archives = nil
	_, err := assemble.Assemble(t.Context(), in)
	if err == nil || !strings.Contains(err.Error(), "what is in x.tar is not known") {
		t.Errorf("the error is %v", err)
	}
}

// TestUnpackAfterChange is about an archive that has other content when the layer is
// written than when it was listed.
func TestUnpackAfterChange(t *testing.T) {
	got, err := unpacked(t, "ADD x.tar /n/", "f 644 F\ng 644 G")
	if err != nil {
		t.Fatal(err)
	}
	other, err := unpacked(t, "ADD x.tar /n/", "f 644 F")
	if err != nil {
		t.Fatal(err)
	}
	if err := got.write(t.Context(), other.context); err == nil || !strings.Contains(err.Error(), "1 files are no longer in the context") {
		t.Errorf("the error is %v", err)
	}
}

// TestUnpackThenChmod does no "RUN chmod" where an archive may have changed what that does.
func TestUnpackThenChmod(t *testing.T) {
	for name, tt := range map[string]struct{ archive, path, want string }{
		"of what was unpacked":          {"f 644 F", "/f", ""},
		"with a directory of a library": {"lib64/ 755\nf 644 F", "/f", ""},
		"with a directory for a link":   {"current/ 755\nf 644 F", "/f", unknownShell},
		"with a link for a directory":   {"opt -> srv\nf 644 F", "/f", unknownShell},
		"with another chmod":            {"bin/chmod -> sh\nf 644 F", "/f", unknownShell},
		"with another shell":            {"bin/sh -> chmod\nf 644 F", "/f", unknownShell},
		"with an earlier chmod":         {"app/chmod -> /bin/sh\nf 644 F", "/f", unknownShell},
		"of hosts":                      {"etc/hosts 644 F", "/etc/hosts", unmade},
		"of a device's path":            {"dev/f 644 F", "/dev/f", unmade},
		"of a pipe":                     {"p |", "/p", unmade},
	} {
		for _, flag := range []string{"", "--link "} {
			_, err := unpacked(t, "ENV PATH=/app:/bin\nADD "+flag+"x.tar /\nRUN chmod 600 "+tt.path, tt.archive)
			got := ""
			if err != nil {
				got = strings.TrimPrefix(err.Error(), "not split: line 4: ")
			}
			if got != tt.want {
				t.Errorf("%s %s: the error is %q, want %q", flag, name, got, tt.want)
			}
		}
	}
}

const unmade = "chmod of what the COPYs before it have not made"

// BenchmarkUnpackDeep unpacks files in directories that are a thousand deep, which takes
// about as long as the same names of files in one directory.
func BenchmarkUnpackDeep(b *testing.B) {
	took := func(dir string) time.Duration {
		lines := make([]string, 2000)
		for i := range lines {
			lines[i] = fmt.Sprintf("%s%04d 644", dir, i)
		}
		began := time.Now()
		if _, err := unpacked(b, "ADD x.tar /", strings.Join(lines, "\n")); err != nil {
			b.Fatal(err)
		}
		return time.Since(began)
	}
	var flat, deep time.Duration
	for b.Loop() {
		flat += took(strings.Repeat(strings.Repeat("n", 249)+"/", 8))
		deep += took(strings.Repeat("n/", 1000))
	}
	b.ReportMetric(deep.Seconds()/flat.Seconds(), "x-flat")
}
