package assemble

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"

	"kiln/internal/buildcontext"
	"kiln/internal/split"
	"kiln/internal/tarball"
	"kiln/internal/treeindex"
)

// Version is what the keys of images bind that are put together. It changes with what is
// made of the same input.
const Version = "put together by kiln v3"

// Input is what an image is assembled of. Nothing changes it.
type Input struct {
	// Plan has the rest.
	Plan *split.Plan
	// Name is for [NothingRun]: one that no other image has. Empty is none.
	Name string
	// Config is the configuration of the base part's image as it is stored, empty for
	// scratch. Below is the tree of that image.
	Config []byte
	Below  *treeindex.Tree
	// Context lists the context.
	Context *buildcontext.Tree
	// Archives has what is in each of the plan's archives.
	Archives map[string][]tarball.Entry
	// Labels are set in the end.
	Labels map[string]string
}

// Image is what comes on top of a base part. Nothing changes it.
type Image struct {
	root   *root
	config *config
	// written are the paths that the layer has: directories first, then links and
	// heredocs, then files.
	written []*node
}

// assembly is one run over a rest.
type assembly struct {
	root    *root
	config  *config
	listing *listing
	scope   *split.Scope
	// archives are unpacked by ADD.
	archives map[string][]tarball.Entry
}

// Assemble follows the rest. An error is of type [*split.Unsure], or the context's.
func Assemble(ctx context.Context, in Input) (*Image, error) {
	image, err := assemble(ctx, in)
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return image, err
}

func assemble(ctx context.Context, in Input) (*Image, error) {
	config, err := newConfig(in)
	if err != nil {
		return nil, asUnsure(0, err)
	}
	for _, name := range in.Plan.Archives {
		if _, known := in.Archives[name]; !known {
			return nil, &split.Unsure{Reason: "what is in " + name + " is not known"}
		}
	}
	a := &assembly{root: newRoot(in.Below, ctx.Done()), config: config, listing: newListing(in.Context), scope: in.Plan.Scope(), archives: in.Archives}
	for _, step := range in.Plan.Rest {
		if err := a.follow(step); err != nil {
			return nil, asUnsure(step.Line, err)
		}
	}
	config.label(in.Labels)
	image := &Image{root: a.root, config: config}
	if image.written, err = a.root.written(); err != nil {
		return nil, asUnsure(0, err)
	}
	return image, nil
}

// asUnsure gives every error the one type.
func asUnsure(line int, err error) *split.Unsure {
	if u, ok := errors.AsType[*split.Unsure](err); ok {
		return u
	}
	return &split.Unsure{Line: line, Reason: err.Error()}
}

// follow follows one instruction within the bounds: not all of them ask by themselves.
func (a *assembly) follow(step split.Step) error {
	if err := a.root.within(); err != nil {
		return err
	}
	return errors.Join(a.step(step), a.config.within())
}

// step follows one instruction.
func (a *assembly) step(step split.Step) error {
	command, err := step.Command()
	if err != nil {
		return err
	}
	if command == nil {
		a.config.stage()
		return a.scope.Begin(a.config.image.Config.Env)
	}
	if err := a.scope.Resolve(command); err != nil {
		return err
	}
	switch c := command.(type) {
	case *instructions.CopyCommand:
		c2 := copying{SourcesAndDest: c.SourcesAndDest, chown: c.Chown, chmod: c.Chmod, link: c.Link, parents: c.Parents, exclude: c.ExcludePatterns}
		if err := a.copyTo(c2, a.config.workdir()); err != nil {
			return err
		}
		a.config.copied("COPY", c2)
	case *instructions.AddCommand:
		c2 := copying{SourcesAndDest: c.SourcesAndDest, chown: c.Chown, chmod: c.Chmod, link: c.Link, exclude: c.ExcludePatterns, archives: a.archives}
		if err := a.copyTo(c2, a.config.workdir()); err != nil {
			return err
		}
		a.config.copied("ADD", c2)
	case *instructions.WorkdirCommand:
		return a.enter(c)
	case *instructions.RunCommand:
		change, ok := step.Chmod()
		if !ok {
			return errors.New("it runs something")
		}
		return a.chmod(change, c)
	default:
		return a.config.set(command, a.scope)
	}
	return nil
}

// enter follows a WORKDIR, and makes the directory for the user of the moment.
func (a *assembly) enter(c *instructions.WorkdirCommand) error {
	dir, err := a.config.enter(c.Path)
	if err != nil {
		return err
	}
	changes := dir != "/"
	a.config.history("WORKDIR "+dir, changes)
	if !changes {
		return nil
	}
	by, err := a.root.ownerOf(a.config.image.Config.User)
	if err != nil {
		return err
	}
	at, err := a.root.follow(dir)
	if err != nil {
		return err
	}
	return a.root.mkdirAll(at, 0o755, by)
}

var (
	errShell = errors.New("what chmod does is not certain: the image has no /bin/sh and chmod of its own, or something may change what they do")
	errChmod = errors.New("chmod of what the COPYs before it have not made")
)

// umask is that of a RUN.
const umask = 0o022

// chmod does a "RUN chmod" as root.
func (a *assembly) chmod(change split.Chmod, c *instructions.RunCommand) error {
	mode, err := parseMode(change.Mode, umask)
	if err != nil {
		return err
	}
	dir := a.config.workdir()
	if at, err := a.root.reach(dir); err != nil || !a.root.dir(at) || !a.shell() || climbs(a.config.image.Config.WorkingDir) {
		return errors.Join(err, errShell)
	}
	for _, name := range change.Paths {
		if !path.IsAbs(name) {
			name = dir + "/" + name
		}
		at, err := a.root.reach(name)
		if err == nil {
			err = a.root.within()
		}
		if err != nil {
			return err
		}
		n := a.root.nodes[at]
		if n == nil || mounted(at) || n.entry.Kind != treeindex.File || n.entry.Mode&^0o777 != 0 {
			return errChmod
		}
		changed := *n
		changed.entry.Mode = mode.of(n.entry.Mode, false)
		a.root.put(at, &changed)
	}
	words := a.scope.BuildArgs()
	if len(words) > 0 {
		words = append([]string{fmt.Sprintf("|%d", len(words))}, words...)
	}
	words = append(words, "/bin/sh", "-c", c.CmdLine[0], "#", "buildkit")
	a.config.history("RUN "+strings.Join(words, " "), true)
	return nil
}

// mounted reports whether a RUN has something else at a path than the image: what the
// runtime mounts there.
func mounted(name string) bool {
	first, _, _ := strings.Cut(name, "/")
	return slices.Contains([]string{"dev", "proc", "sys"}, first) ||
		slices.Contains([]string{"etc/hosts", "etc/resolv.conf", "etc/hostname"}, name)
}

// dir reports whether a path is a directory.
func (r *root) dir(name string) bool {
	e, found := r.find(name)
	return found && e.Kind == treeindex.Dir
}

// shell reports whether /bin/sh and the chmod that it finds are those of the tree
// below, and do as always.
func (a *assembly) shell() bool {
	for _, name := range []string{"LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "ENV", "POSIXLY_CORRECT"} {
		if _, set := a.scope.Get(name); set {
			return false
		}
	}
	if a.root.libraries > 0 {
		return false
	}
	search, _ := a.scope.Get("PATH")
	return a.program("/bin/sh") && a.firstIsBelow(search)
}

// library reports whether a node may have a part in how every program starts: a shared
// library, a setting of the loader, or what leads to them elsewhere.
func (n *node) library() bool {
	if n.entry.Kind == treeindex.Dir {
		return false
	}
	name := strings.TrimPrefix(n.entry.Path, "usr/")
	switch {
	case name == "usr", name == "etc", strings.HasPrefix(n.entry.Path, "etc/ld"):
		return true
	case !strings.HasPrefix(name, "lib"):
		return false
	}
	return n.entry.Kind == treeindex.Link || !strings.Contains(name, "/") || strings.Contains(name, ".so")
}

// firstIsBelow reports whether the first chmod of a search path is a program of the
// tree below.
func (a *assembly) firstIsBelow(search string) bool {
	for dir := range strings.SplitSeq(search, ":") {
		at, err := a.root.reach(dir + "/chmod")
		if err != nil || !path.IsAbs(dir) || climbs(dir) || a.root.led(dir+"/chmod") {
			return false
		}
		if _, found := a.root.find(at); found {
			return a.program(at)
		}
	}
	return false
}

// program reports whether a path leads to a program that the rest has not made, by links
// that it has not made either.
func (a *assembly) program(name string) bool {
	at, err := a.root.reach(name)
	if err != nil || a.root.nodes[at] != nil || a.root.led(name) {
		return false
	}
	e, found := a.root.find(at)
	return found && e.Kind == treeindex.File && e.Mode&0o111 != 0
}
