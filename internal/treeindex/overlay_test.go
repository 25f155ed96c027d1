package treeindex_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kiln/internal/treeindex"
)

// TestOverlayCancelled ends when nobody waits for it any more.
func TestOverlayCancelled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("cancelled")
	cancel(cause)
	if tree, err := treeindex.Overlay(ctx, read(t, file("a"))); !errors.Is(err, cause) {
		t.Errorf("got %v and the error %v, want %v", tree, err, cause)
	}
}

// TestOverlayLayers has layers that hide what is beside what they keep.
func TestOverlayLayers(t *testing.T) {
	lower := read(t, dir("a", 0o755), file("a/b"), file("a/c/d"), file("a/c/e"), file("a-"), file("b/x"), file("c"))
	for name, tt := range map[string]struct {
		layers [][]member
		want   string
	}{
		"nothing on it":                 {nil, " a a/b a/c a/c/d a/c/e a- b b/x c"},
		"the root alone":                {[][]member{{dir(".", 0o700)}}, " a a/b a/c a/c/d a/c/e a- b b/x c"},
		"an opaque root":                {[][]member{{file(".wh..wh..opq"), file("n")}}, " n"},
		"an opaque one in a hidden one": {[][]member{{file("a/.wh..wh..opq"), file("a/c/.wh..wh..opq"), file("a/c/n")}}, " a a/c a/c/n a- b b/x c"},
		"two whiteouts":                 {[][]member{{file("a/.wh.b"), file("a/c/.wh.e"), file(".wh.c")}}, " a a/c a/c/d a- b b/x"},
		"in between":                    {[][]member{{file(".wh.a"), file("a."), file("b/w"), file("b/y")}}, " a- a. b b/w b/x b/y c"},
		"one after the other":           {[][]member{{file(".wh.a")}, {file("a/z")}, {file("a/.wh..wh..opq")}, {file("c"), file("d")}}, " a a- b b/x c d"},
	} {
		t.Run(name, func(t *testing.T) {
			layers := []*treeindex.Index{lower}
			for _, members := range tt.layers {
				layers = append(layers, read(t, members...))
			}
			tree, err := treeindex.Overlay(t.Context(), layers...)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for name := range strings.SplitSeq(" a a/b a/c a/c/d a/c/e a/c/n a/z a- a. b b/w b/x b/y c d n", " ") {
				if _, found := tree.Find(name); found {
					names = append(names, name)
				}
			}
			if diff := cmp.Diff(tt.want, strings.Join(names, " ")); diff != "" || tree.Len() != len(names) {
				t.Errorf("the tree has %d entries (-want +got):\n%s", tree.Len(), diff)
			}
		})
	}
}

// BenchmarkOverlay puts small layers on a large one.
func BenchmarkOverlay(b *testing.B) {
	layers := make([]*treeindex.Index, 200)
	large := &treeindex.Index{}
	for i := range treeindex.MaxEntries - len(layers) {
		large.Entries = append(large.Entries, treeindex.Entry{Path: fmt.Sprintf("f%06d", i), Kind: treeindex.File, Mode: 0o644})
	}
	layers[0] = large
	for i := range layers[1:] {
		layers[i+1] = &treeindex.Index{Entries: []treeindex.Entry{{Path: fmt.Sprintf("f%06d", i*1000), Kind: treeindex.File, Mode: 0o755}}}
	}
	for b.Loop() {
		if _, err := treeindex.Overlay(b.Context(), layers...); err != nil {
			b.Fatal(err)
		}
	}
}
