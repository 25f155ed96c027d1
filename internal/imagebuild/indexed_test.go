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
// pushed, and of the base image's layers as they are pulled, no other is. Where it has, no
// layer is read again.
func TestIndexedByGate(t *testing.T) {
	const looking = " looking through the layers of the base part"
	base, made := baseFiles(t), tarOf(t, "made", "x")
	pulled := fmt.Sprintf("--index-pulled=sha256:%x", sha256.Sum256(base))
	for name, tt := range map[string]struct {
		assemble bool
		keeps    [][]byte
		reads    int
	}{
		"kept": {true, [][]byte{base, made}, 0}, "only what is pushed": {true, [][]byte{made}, 1},
		"not kept": {true, nil, 2}, "the whole": {false, [][]byte{base, made}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newSplitWorld(t)
				w.settings.Assemble = tt.assemble
				w.stage("FROM base.example.com/base:1\nRUN make\nCOPY main.c /\n", "main.c", "one")
				var told, over atomic.Bool
				var reads atomic.Int64
				w.at = func(life *podtest.Life, _ int, moment string) bool {
					if moment != running {
						return true
					}
					args := life.Pod().Spec.Containers[0].Args
					told.Store(slices.Contains(args, "--index") && slices.Contains(args, pulled))
					for _, layer := range tt.keeps {
						w.keepIndex(t, layer)
					}
					over.Store(true)
					return true
				}
				r := w.runner("a", nil, func(call podtest.Call) podtest.Fault {
					if slices.ContainsFunc([][]byte{base, made}, func(layer []byte) bool {
						return call.Op == "get blobs" && strings.Contains(call.Name, fmt.Sprintf("%x", sha256.Sum256(layer)))
					}) {
						reads.Add(1)
						if !over.Load() {
							t.Errorf("%s while it is built", call.Name)
						}
					}
					return podtest.Fault{}
				})
				r.must(t)
				if told.Load() != tt.assemble || int(reads.Load()) != tt.reads {
					t.Errorf("the gate is told to keep indexes: %t; %d layers were read, want %d", told.Load(), reads.Load(), tt.reads)
				}
				if read := strings.Contains(r.log.String(), looking); read != (tt.reads > 0) {
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
