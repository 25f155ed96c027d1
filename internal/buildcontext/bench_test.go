package buildcontext_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"kiln/internal/buildcontext"
)

// benchTrees are a context as most actions have it, one of many small files
// and one of few large ones.
func benchTrees() map[string]map[string]string {
	trees := map[string]map[string]string{
		"action": {"Dockerfile": "FROM alpine\nCOPY . /\n", "action.yml": "name: x\n", "entrypoint.sh": "#!/bin/sh\n"},
		"small":  {"Dockerfile": "FROM alpine\n", ".dockerignore": "**/*.tmp\nnode_modules\n!node_modules/keep\n"},
		"large":  {"Dockerfile": "FROM alpine\n"},
	}
	random := rand.NewChaCha8([32]byte{})
	for i := range 2000 {
		trees["small"][fmt.Sprintf("src/%02d/%03d.go", i%40, i)] = "package x\n"
	}
	for i := range 4 {
		content := make([]byte, 8<<20)
		_, _ = random.Read(content)
		trees["large"][fmt.Sprintf("blob%d", i)] = string(content)
	}
	return trees
}

func BenchmarkStage(b *testing.B) {
	for name, tree := range benchTrees() {
		b.Run(name, func(b *testing.B) {
			dockerfile := filepath.Join(contextDir(b, tree), "Dockerfile")
			b.ReportAllocs()
			for b.Loop() {
				sum, err := buildcontext.Stage(io.Discard, dockerfile, buildcontext.Limits{})
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(sum.Bytes)
			}
		})
	}
}

func BenchmarkCanonical(b *testing.B) {
	for name, tree := range benchTrees() {
		b.Run(name, func(b *testing.B) {
			var staged bytes.Buffer
			if _, err := buildcontext.Stage(&staged, filepath.Join(contextDir(b, tree), "Dockerfile"), buildcontext.Limits{}); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				sum, err := buildcontext.Canonical(io.Discard, bytes.NewReader(staged.Bytes()), buildcontext.Limits{})
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(sum.Bytes)
			}
		})
	}
}
