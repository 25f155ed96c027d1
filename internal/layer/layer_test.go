package layer_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"kiln/internal/layer"
)

// TestDecompress reads what was compressed in every way, and refuses a window beyond
// the bound.
func TestDecompress(t *testing.T) {
	text := strings.Repeat("an archive ", 1000)
	var gz, z, wide bytes.Buffer
	g := gzip.NewWriter(&gz)
	_, _ = io.WriteString(g, text)
	_ = g.Close()
	for out, window := range map[*bytes.Buffer]int{&z: 1 << 20, &wide: 64 << 20} {
		w, err := zstd.NewWriter(out, zstd.WithWindowSize(window), zstd.WithSingleSegment(false))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(w, text)
		_ = w.Flush() // else the frame says how little it holds
		_, _ = io.WriteString(w, text)
		_ = w.Close()
	}
	for name, tt := range map[string]struct {
		in   []byte
		want string
	}{
		"not at all": {[]byte(text), text}, "gzip": {gz.Bytes(), text}, "zstd": {z.Bytes(), text + text},
		"zstd, wide": {wide.Bytes(), ""}, "nothing": {nil, ""},
	} {
		archive, end, err := layer.Decompress(bufio.NewReader(bytes.NewReader(tt.in)))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := io.ReadAll(archive)
		end()
		if string(got) != tt.want || (err != nil) != (name == "zstd, wide") {
			t.Errorf("%s: %d bytes, %v, want %d", name, len(got), err, len(tt.want))
		}
	}
}
