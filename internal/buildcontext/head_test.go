package buildcontext_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kiln/internal/buildcontext"
)

// TestHead reads a head and a context as a builder does: as one archive.
func TestHead(t *testing.T) {
	files := []buildcontext.File{
		{Name: "Dockerfile", Content: []byte("FROM scratch\n")},
		{Name: "Dockerfile.dockerignore"},
		{Name: "heredoc/3/EOF", Content: bytes.Repeat([]byte("x"), 1000)},
	}
	packed, _ := canonical(t, pack(t, file("Dockerfile", "FROM a\n"), dir("heredoc", 0o755), file("heredoc/EOF", "author's")))
	var head, again bytes.Buffer
	for _, out := range []*bytes.Buffer{&head, &again} {
		if err := buildcontext.Head(out, files); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(head.Bytes(), again.Bytes()) {
		t.Error("the same files give different bytes")
	}
	type found struct {
		Name    string
		Mode    int64
		Content string
	}
	want := []found{
		{"Dockerfile", 0o644, "FROM scratch\n"},
		{"Dockerfile.dockerignore", 0o644, ""},
		{"heredoc/3/EOF", 0o644, string(files[2].Content)},
		{"context/", 0o755, ""},
		{"context/Dockerfile", 0o644, "FROM a\n"},
		{"context/heredoc/", 0o755, ""},
		{"context/heredoc/EOF", 0o644, "author's"},
	}
	var got []found
	for tr := tar.NewReader(bytes.NewReader(gunzip(t, append(head.Bytes(), packed...)))); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		if !h.ModTime.Equal(buildcontext.Time()) {
			t.Errorf("%s has the time %v, want %v", h.Name, h.ModTime, buildcontext.Time())
		}
		got = append(got, found{h.Name, h.Mode, string(content)})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}
