package imagebuild_test

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"kiln/internal/podtest"
	"kiln/internal/treeindex"
	"kiln/internal/treestore"
)

// TestIndexedByGate: the gate of a base part's pod is told to keep indexes of what is
// pushed, no other is. Where it has, the layers are not read again.
func TestIndexedByGate(t *testing.T) {
	const looking = " looking through the layers of the base part"
	for name, tt := range map[string]struct{ assemble, keeps bool }{
		"kept": {true, true}, "not kept": {true, false}, "the whole": {false, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newSplitWorld(t)
				w.settings.Assemble = tt.assemble
				w.stage("FROM base.example.com/base:1\nRUN make\nCOPY main.c /\n", "main.c", "one")
				var told atomic.Bool
				w.at = func(life *podtest.Life, _ int, moment string) bool {
					if moment != running {
						return true
					}
					told.Store(slices.Contains(life.Pod().Spec.Containers[0].Args, "--index"))
					if told.Load() && tt.keeps {
						w.keepIndex(t, tarOf(t, "made", "x"))
					}
					return true
				}
				r := w.runner("a", nil, nil)
				r.must(t)
				if told.Load() != tt.assemble {
					t.Errorf("the gate is told to keep indexes: %t", told.Load())
				}
				if read := strings.Contains(r.log.String(), looking); read != (tt.assemble && !tt.keeps) {
					t.Errorf("the layers were read: %t\n%s", read, r.log.String())
				}
			})
		})
	}
}

// keepIndex keeps the index of a layer as a gate does.
func (w *world) keepIndex(t *testing.T, layer []byte) {
	t.Helper()
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(layer))
	index, err := treeindex.Read(digest, strings.NewReader(string(layer)))
	if err != nil {
		t.Error(err)
		return
	}
	image, err := treestore.Pack(index)
	if err != nil {
		t.Error(err)
		return
	}
	w.registry.Put("registry.example.com/ci/app:"+treestore.Tag(digest), podtest.Image{Layers: [][]byte{image.Layer}})
}
