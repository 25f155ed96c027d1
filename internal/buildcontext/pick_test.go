package buildcontext_test

import (
	"bytes"
	"io"
	"testing"

	"kiln/internal/buildcontext"
)

// Two contexts that agree in what is kept give the same bytes, and those are what
// Canonical makes of a context of what is kept: nothing else is in them.
func TestPick(t *testing.T) {
	keep := map[string]bool{"a": true, "a/f": true, "l": true}
	kept := []member{dir("a", 0o755), file("a/f", "x"), link("l", "a/f")}
	want, wantSum := canonical(t, pack(t, kept...))
	for name, packed := range map[string][]byte{
		"alone":  pack(t, kept...),
		"others": pack(t, dir("a", 0o755), file("a/e", "secret"), file("a/f", "x"), dir("b", 0o700), file("b/f", "secret"), link("l", "a/f")),
		"less":   pack(t, dir("a", 0o755), file("a/f", "x"), file("a/g", ""), link("l", "a/f"), file("z", "other")),
	} {
		whole, _ := canonical(t, packed)
		var got bytes.Buffer
		sum, err := buildcontext.Pick(&got, bytes.NewReader(whole), keep)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if sum != wantSum || !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s: what was picked is %v with %d bytes, want %v with %d bytes", name, sum, got.Len(), wantSum, len(want))
		}
	}
}

func TestPickNothing(t *testing.T) {
	whole, _ := canonical(t, pack(t, file("a", "x")))
	sum, err := buildcontext.Pick(io.Discard, bytes.NewReader(whole), nil)
	if err != nil || sum.Entries != 0 {
		t.Errorf("Pick = %v, %v, want no entry", sum, err)
	}
}

func TestPickRefuses(t *testing.T) {
	whole, _ := canonical(t, pack(t, dir("a", 0o755), file("a/f", "x")))
	if _, err := buildcontext.Pick(io.Discard, bytes.NewReader(whole), map[string]bool{"a/f": true}); err == nil {
		t.Error("an entry without its directory was picked")
	}
	if _, err := buildcontext.Pick(io.Discard, bytes.NewReader(whole[:len(whole)-10]), map[string]bool{}); err == nil {
		t.Error("a context that was cut off was read")
	}
}
