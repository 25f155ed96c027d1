package buildkey_test

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"kiln/internal/buildcontext"
	"kiln/internal/buildkey"
)

// action are the inputs of a build with something in every field.
func action() buildkey.Inputs {
	return buildkey.Inputs{
		Executor:   "ghcr.io/osscontainertools/kaniko:v1.28.3-slim",
		Flags:      []string{"--snapshot-mode=full", "FF_KANIKO_X=1"},
		Platform:   "linux/amd64",
		Dockerfile: "Dockerfile",
		Files:      []buildcontext.File{{Name: "Dockerfile", Content: []byte("FROM alpine:3\n")}, {Name: "heredoc/2/EOF", Content: []byte("x")}},
		Context:    "sha256:0123",
		References: []buildkey.Reference{
			{Name: "alpine:3", Platform: "linux/amd64", Digest: "sha256:aaaa"},
			{Name: "busybox", Platform: "linux/amd64", Digest: "sha256:bbbb"},
		},
	}
}

// TestNewGolden holds the keys still: a change here makes every image be built
// again, so it comes with a change of the version.
func TestNewGolden(t *testing.T) {
	for name, tc := range map[string]struct {
		inputs buildkey.Inputs
		want   string
	}{
		"nothing":    {buildkey.Inputs{}, "f799919b25605ecc715d92b505f78db90a2925749385e4d65be0434fce3bbe0f"},
		"everything": {action(), "9ec48f8a1b5c57718e3ec92a3784ed819d3b315691ed2e383193d75dcd564c7a"},
	} {
		if got := buildkey.New(tc.inputs).String(); got != tc.want {
			t.Errorf("%s: key = %s, want %s", name, got, tc.want)
		}
	}
}

func TestTag(t *testing.T) {
	key := buildkey.New(action())
	if tag := key.Tag(); !regexp.MustCompile(`^k1-[0-9a-f]{40}$`).MatchString(tag) || tag[3:] != key.String()[:40] {
		t.Errorf("the tag of %s is %q", key, tag)
	}
}

// Order that means nothing changes nothing.
func TestNewIgnoresOrder(t *testing.T) {
	inputs := action()
	want := buildkey.New(inputs)
	slices.Reverse(inputs.References)
	if got := buildkey.New(inputs); got != want {
		t.Error("the order of references changes the key")
	}
	slices.Reverse(inputs.Flags)
	if got := buildkey.New(inputs); got == want {
		t.Error("the order of flags does not change the key")
	}
}

// changes are one for each field that there is.
func changes() map[string]func(*buildkey.Inputs, string) {
	return map[string]func(*buildkey.Inputs, string){
		"Executor":   func(i *buildkey.Inputs, s string) { i.Executor += s },
		"Flags":      func(i *buildkey.Inputs, s string) { i.Flags = append(slices.Clone(i.Flags), s) },
		"Platform":   func(i *buildkey.Inputs, s string) { i.Platform += s },
		"Dockerfile": func(i *buildkey.Inputs, s string) { i.Dockerfile += s },
		"Files": func(i *buildkey.Inputs, s string) {
			i.Files = append(slices.Clone(i.Files), buildcontext.File{Name: s})
		},
		"Context": func(i *buildkey.Inputs, s string) { i.Context += s },
		"References": func(i *buildkey.Inputs, s string) {
			i.References = append(slices.Clone(i.References), buildkey.Reference{Digest: s})
		},
	}
}

// TestNewCoversEveryInput changes one field at a time, of whatever there was.
func TestNewCoversEveryInput(t *testing.T) {
	for field := range reflect.TypeFor[buildkey.Inputs]().Fields() {
		if changes()[field.Name] == nil {
			t.Errorf("no change of %s is tried", field.Name)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		before := drawInputs(t)
		after := before
		field := rapid.SampledFrom(slices.Sorted(maps.Keys(changes()))).Draw(t, "field")
		changes()[field](&after, rapid.StringN(1, 20, -1).Draw(t, "more"))
		if buildkey.New(before) == buildkey.New(after) {
			t.Fatalf("a change of %s does not change the key:\n%s", field, cmp.Diff(before, after))
		}
	})
}

// TestFrameIsInjective draws pairs that differ by little, so that bytes move
// from one field to its neighbour: only equal inputs have equal bytes.
func TestFrameIsInjective(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawInputs(t), drawInputs(t)
		same := cmp.Equal(a, b, cmpopts.EquateEmpty(), cmpopts.SortSlices(func(x, y buildkey.Reference) bool {
			return fmt.Sprint(x) < fmt.Sprint(y)
		}))
		if framed := string(buildkey.Frame(a)) == string(buildkey.Frame(b)); framed != same {
			t.Fatalf("the inputs are the same: %t, their bytes: %t:\n%s", same, framed, cmp.Diff(a, b))
		}
	})
}

// drawInputs draws from few and short texts, so that equal ones and those that
// join to the same text are common.
func drawInputs(t *rapid.T) buildkey.Inputs {
	text := rapid.SampledFrom([]string{"", "a", "b", "ab", "a\x00", "\x00\x00\x00\x00\x00\x00\x00\x01a"})
	reference := rapid.Custom(func(t *rapid.T) buildkey.Reference {
		return buildkey.Reference{Name: text.Draw(t, "name"), Platform: text.Draw(t, "for"), Digest: text.Draw(t, "digest")}
	})
	file := rapid.Custom(func(t *rapid.T) buildcontext.File {
		return buildcontext.File{Name: text.Draw(t, "file"), Content: []byte(text.Draw(t, "bytes"))}
	})
	return buildkey.Inputs{
		Executor:   text.Draw(t, "executor"),
		Flags:      rapid.SliceOfN(text, 0, 2).Draw(t, "flags"),
		Platform:   text.Draw(t, "platform"),
		Dockerfile: text.Draw(t, "dockerfile"),
		Files:      rapid.SliceOfN(file, 0, 2).Draw(t, "files"),
		Context:    text.Draw(t, "context"),
		References: rapid.SliceOfN(reference, 0, 2).Draw(t, "references"),
	}
}
