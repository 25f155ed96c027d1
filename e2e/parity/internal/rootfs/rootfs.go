// Package rootfs reads the file system that an image's layers add up to.
//
// Layers are applied as containerd does on a node: entry by entry, parents
// resolved through links inside the root, whiteouts removing what is there.
// Nothing is written to disk; of a file's content the digest is kept.
package rootfs

import (
	"archive/tar"
	"path"
	"slices"
	"strings"
	"time"
)

// Node is one inode. The names of a hard-linked file share it.
type Node struct {
	// Kind is "file", "dir", "link", "fifo", "char" or "block".
	Kind string
	// Mode has the permission bits and setuid, setgid and sticky, as in
	// chmod(1).
	Mode int64
	UID  int
	GID  int
	Size int64
	// Digest is the SHA-256 of a file's content, in hexadecimal.
	Digest string
	// Link is the target of a symbolic link.
	Link string
	// Device is "major:minor" of a device.
	Device string
	// Capability is the value of the extended attribute security.capability,
	// in hexadecimal, or empty.
	Capability string
	ModTime    time.Time
}

// Tree holds every inode by its absolute path; "/" is the root.
type Tree map[string]*Node

// rootNode is the root directory of an image whose layers do not say.
func rootNode() *Node { return &Node{Kind: "dir", Mode: 0o755} }

// Names returns, for a path, all paths that share its inode, sorted.
func (t Tree) Names() map[string][]string {
	byNode := map[*Node][]string{}
	for name, node := range t {
		byNode[node] = append(byNode[node], name)
	}
	names := make(map[string][]string, len(t))
	for _, group := range byNode {
		slices.Sort(group)
		for _, name := range group {
			names[name] = group
		}
	}
	return names
}

// Names of whiteouts (OCI image specification, "Layer Filesystem Changeset").
const (
	whiteout = ".wh."
	opaque   = ".wh..wh..opq"
)

// apply puts the entries of one layer on the tree.
func (t Tree) apply(layer []entry) {
	fresh := map[string]bool{}
	for _, e := range layer {
		name := t.resolve(e.name)
		dir, base := path.Split(name)
		switch {
		case base == opaque:
			t.remove(path.Clean(dir), false, fresh)
		case strings.HasPrefix(base, whiteout):
			t.remove(path.Join(dir, strings.TrimPrefix(base, whiteout)), true, nil)
		default:
			t.put(name, e)
			fresh[name] = true
		}
	}
}

// put adds one entry, in place of what is there unless both are directories.
func (t Tree) put(name string, e entry) {
	t.parents(name)
	node := e.node
	if e.hardlink != "" {
		if node = t[t.resolve(e.hardlink)]; node == nil {
			node = &Node{Kind: "missing", Link: e.hardlink}
		}
	}
	if old := t[name]; old != nil && (old.Kind != "dir" || node.Kind != "dir") {
		t.remove(name, true, nil)
	}
	t[name] = node
}

// parents adds the directories above name that no layer has.
func (t Tree) parents(name string) {
	for dir := path.Dir(name); t[dir] == nil; dir = path.Dir(dir) {
		t[dir] = rootNode()
	}
}

// remove takes away what is below name, and name itself if self says so, but
// not the paths in keep.
func (t Tree) remove(name string, self bool, keep map[string]bool) {
	prefix := strings.TrimSuffix(name, "/") + "/"
	for at := range t {
		if below := strings.HasPrefix(at, prefix) && at != "/"; (below || self && at == name) && !keep[at] {
			delete(t, at)
		}
	}
}

// maxHops bounds the links that are followed, as the kernel does.
const maxHops = 40

// resolve follows the links in the directories above the last element.
func (t Tree) resolve(name string) string {
	rest := strings.Split(strings.Trim(path.Clean("/"+name), "/"), "/")
	at := "/"
	for hops := 0; len(rest) > 1; {
		next := path.Join(at, rest[0])
		rest = rest[1:]
		node := t[next]
		if node == nil || node.Kind != "link" || hops >= maxHops {
			at = next
			continue
		}
		hops++
		target := node.Link
		if !path.IsAbs(target) {
			target = path.Join(at, target)
		}
		at = "/"
		rest = append(strings.Split(strings.Trim(path.Clean(target), "/"), "/"), rest...)
	}
	return path.Join(at, rest[0])
}

// kind names the type of an entry; "" for one that makes no inode.
func kind(flag byte) string {
	switch flag {
	case tar.TypeReg:
		return "file"
	case tar.TypeDir:
		return "dir"
	case tar.TypeSymlink:
		return "link"
	case tar.TypeFifo:
		return "fifo"
	case tar.TypeChar:
		return "char"
	case tar.TypeBlock:
		return "block"
	}
	return ""
}
