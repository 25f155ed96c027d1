package preflight

import (
	"path"
	"slices"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// Unpacked is an external image whose layers Kaniko unpacks, and what of them
// can reach the image that is built: what a RUN sees, or a COPY takes.
type Unpacked struct {
	// Image is its reference as the Dockerfile names it.
	Image string
	// Paths are the absolute paths that matter, sorted; "/" alone is everything.
	Paths []string
	// Copied is whether a COPY --from names the image itself. Kaniko honors no
	// whiteouts then.
	Copied bool
}

// maxPaths bounds the paths of one image; where there are more, all matter.
const maxPaths = 20

// Unpacked returns the images whose layers matter, in the order of
// [File.Images]. One that is only built upon, by COPY of the context and by
// what changes the configuration, is not among them. Triggers are the images that
// have ONBUILD triggers: these can run anything.
func (f *File) Unpacked(triggers map[string]bool) ([]Unpacked, error) {
	found := map[string]*Unpacked{}
	note := func(image string, copied bool, at string) {
		if image == "" || image == scratch {
			return
		}
		if found[image] == nil {
			found[image] = &Unpacked{Image: image}
		}
		found[image].Copied = found[image].Copied || copied
		found[image].Paths = append(found[image].Paths, at)
	}
	err := f.outline.over(nil).walk(func(s *site) {
		if s.stage == nil {
			return
		}
		if _, runs := s.command.(*instructions.RunCommand); runs || triggers[s.stage.image] {
			note(s.stage.root().image, false, "/")
		}
		c, ok := s.copying()
		if !ok || c.from == "" {
			return
		}
		from, isStage := s.source(c.from)
		for _, text := range c.SourcePaths {
			value, known := s.expand(text)
			at := literalPart(path.Join("/", value))
			if !known {
				at = "/"
			}
			if isStage {
				note(from.root().image, false, at)
			} else {
				note(c.from, true, at)
			}
		}
	})
	var all []Unpacked
	for _, image := range f.Images {
		if u := found[image.Reference]; u != nil {
			slices.Sort(u.Paths)
			u.Paths = slices.Compact(u.Paths)
			if u.Paths[0] == "/" || len(u.Paths) > maxPaths {
				u.Paths = []string{"/"}
			}
			all = append(all, *u)
		}
	}
	return all, err
}
