package preflight

import (
	"path"
	"slices"
	"strings"

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
	// Workdir is its working directory, where a RUN has that and nothing has made it
	// before: Docker makes it then, Kaniko does not; or where a WORKDIR of a user makes
	// it on the way. Empty otherwise.
	Workdir string
	// User is its user, a number without a group, where a RUN has that: without an entry
	// in /etc/passwd it gets another group from Kaniko. Empty otherwise.
	User string
}

// maxPaths bounds the paths of one image; where there are more, all matter.
const maxPaths = 20

// Unpacked returns the images whose layers matter, in the order of
// [File.Images]. One that is only built upon, by COPY of the context and by
// what changes the configuration, is not among them. Bases are what is known of the
// images, by their reference: the triggers of those that have any can run anything.
func (f *File) Unpacked(bases map[string]Base) ([]Unpacked, error) {
	w := f.outline.over(nil)
	if err := w.learn(bases); err != nil {
		return nil, err
	}
	u := &unpacking{found: map[string]*Unpacked{}, made: map[*stage]bool{}}
	err := w.walk(func(s *site) {
		if s.stage == nil || s.stage.index < 0 {
			return
		}
		u.visit(s, len(bases[s.stage.image].Triggers) > 0)
		u.rely(s)
	})
	var all []Unpacked
	for _, image := range f.Images {
		if of := u.found[image.Reference]; of != nil {
			slices.Sort(of.Paths)
			of.Paths = slices.Compact(of.Paths)
			if of.Paths[0] == "/" || len(of.Paths) > maxPaths {
				of.Paths = []string{"/"}
			}
			all = append(all, *of)
		}
	}
	return all, err
}

// unpacking is a walk that looks for what is unpacked.
type unpacking struct {
	found map[string]*Unpacked
	// made are the stages in which the working directory of the base image is made.
	made map[*stage]bool
}

// note notes a path of an image, which may be none.
func (u *unpacking) note(image string, copied bool, at string) *Unpacked {
	if image == "" || image == scratch {
		return &Unpacked{}
	}
	if u.found[image] == nil {
		u.found[image] = &Unpacked{Image: image}
	}
	of := u.found[image]
	of.Copied = of.Copied || copied
	of.Paths = append(of.Paths, at)
	return of
}

// visit notes what a site takes of images.
func (u *unpacking) visit(s *site, triggers bool) {
	if _, runs := s.command.(*instructions.RunCommand); runs || triggers {
		u.note(s.stage.root().image, false, "/")
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
			u.note(from.root().image, false, at)
		} else {
			u.note(c.from, true, at)
		}
	}
}

// rely notes what a site relies on that the layers of a base image have.
func (u *unpacking) rely(s *site) {
	root := s.stage.root()
	if root.brought == nil || !root.brought.workdir.known {
		return
	}
	own := root.brought.workdir.value
	_, runs := s.command.(*instructions.RunCommand)
	_, changes := s.command.(*instructions.WorkdirCommand)
	target, _ := s.target()
	if runs || changes && target != own && below(target, own) && !rootOwner(s.stage.user.value) {
		if own != "/" && s.stage.workdir.value == own && !u.isMade(s.stage) {
			u.note(root.image, false, "/").Workdir = own
		}
	}
	if target != "" && below(target, own) {
		u.made[s.stage] = true
	}
	if !runs {
		return
	}
	if user := s.stage.user; s.stage.usersOwn && user.known && allDigits(user.value) && strings.Trim(user.value, "0") != "" {
		u.note(root.image, false, "/").User = user.value
	}
}

// isMade reports whether a stage, or one that it is built from, has made the working
// directory of its base image.
func (u *unpacking) isMade(s *stage) bool {
	for ; s != nil; s = s.base {
		if u.made[s] {
			return true
		}
	}
	return false
}
