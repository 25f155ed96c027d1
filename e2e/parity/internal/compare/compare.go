// Package compare tells two images apart: what Docker's builder made of a
// Dockerfile, and what kiln did.
//
// Everything that a container can see is compared, but for what says when and
// how an image was built:
//
//   - modification times where both are of the time of the run, and those of
//     directories, which change whenever something is written to them;
//   - labels below kiln.build/;
//   - the directories /dev, /proc and /sys, as long as nothing is in them: every
//     container runtime makes them and mounts over them;
//   - history, creation time and the division into layers, which are not part
//     of [Image] at all.
//
// An empty working directory is the root, as it is for a container runtime.
package compare

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"kiln/e2e/parity/internal/rootfs"
)

// The attributes for modification times.
const (
	FileTime = "mtime"
	LinkTime = "mtime of the link"
)

// Run is the modification time of what was written during the run.
const Run = "the run"

// Image is what is compared of an image.
type Image struct {
	Tree     rootfs.Tree
	Platform string // os/architecture
	Config   v1.Config
	// Healthcheck is the whole of Config's, which lacks newer fields.
	Healthcheck map[string]any
}

// Difference is one attribute that two images do not share.
type Difference struct {
	// Where is a path in the image, or "config".
	Where string
	// Attribute is what differs there.
	Attribute string
	// Docker and Kiln are the two values; "" is absent.
	Docker, Kiln string
}

// String is one line.
func (d Difference) String() string {
	return fmt.Sprintf("%s: %s is %q with Docker and %q with kiln", d.Where, d.Attribute, d.Docker, d.Kiln)
}

// Images returns the differences of two images, by path, then the
// configuration's. Files that were written since are the products of the run.
func Images(docker, kiln Image, since time.Time) []Difference {
	return append(trees(docker.Tree, kiln.Tree, since), configurations(docker, kiln)...)
}

// attribute is one value of a path.
type attribute struct {
	name, value string
}

func trees(docker, kiln rootfs.Tree, since time.Time) []Difference {
	names := map[string]bool{}
	for name := range docker {
		names[name] = true
	}
	for name := range kiln {
		names[name] = true
	}
	dockerLinks, kilnLinks := docker.Names(), kiln.Names()
	var all []Difference
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if mountPoint(name, docker[name]) && mountPoint(name, kiln[name]) {
			continue
		}
		a := attributes(docker[name], dockerLinks[name], since)
		b := attributes(kiln[name], kilnLinks[name], since)
		all = append(all, pairs(name, a, b)...)
	}
	return all
}

// mountPoint says that a path is nothing but a place that a container runtime
// mounts over, there or not.
func mountPoint(name string, node *rootfs.Node) bool {
	switch name {
	case "/dev", "/proc", "/sys":
		return node == nil || node.Kind == "dir"
	}
	return false
}

// pairs compares the values of one path. A path that only one image has, or
// that has another type in the other, is one difference.
func pairs(name string, docker, kiln []attribute) []Difference {
	var all []Difference
	for i := range max(len(docker), len(kiln)) {
		d := Difference{Where: name}
		if i < len(docker) {
			d.Attribute, d.Docker = docker[i].name, docker[i].value
		}
		if i < len(kiln) {
			d.Attribute, d.Kiln = kiln[i].name, kiln[i].value
		}
		if d.Docker == d.Kiln {
			continue
		}
		all = append(all, d)
		if d.Attribute == "type" {
			break
		}
	}
	return all
}

// attributes lists what is compared of an inode, the type first. The list has
// the same order for all inodes of a type.
func attributes(node *rootfs.Node, names []string, since time.Time) []attribute {
	if node == nil {
		return nil
	}
	return []attribute{
		{"type", node.Kind},
		{"mode", mode(node)},
		{"uid", strconv.Itoa(node.UID)},
		{"gid", strconv.Itoa(node.GID)},
		{"size", strconv.FormatInt(node.Size, 10)},
		{"content", node.Digest},
		{"target", node.Link},
		{"device", node.Device},
		{"capability", node.Capability},
		{"links", strings.Join(names, " ")},
		{timeOf(node), modified(node, since)},
	}
}

// timeOf names the modification time. A link has one of its own.
func timeOf(node *rootfs.Node) string {
	if node.Kind == "link" {
		return LinkTime
	}
	return FileTime
}

// mode is that of chmod(1). A link's is never asked for, and builders differ
// in it.
func mode(node *rootfs.Node) string {
	if node.Kind == "link" {
		return ""
	}
	return fmt.Sprintf("%04o", node.Mode)
}

// modified is the modification time in whole seconds, which is what a tar
// header holds, or [Run] for what was written during it.
func modified(node *rootfs.Node, since time.Time) string {
	switch {
	case node.Kind == "dir":
		return ""
	case !node.ModTime.Before(since):
		return Run
	}
	return Time(node.ModTime)
}

// Time writes a modification time as differences do.
func Time(t time.Time) string { return t.UTC().Truncate(time.Second).Format(time.RFC3339) }
