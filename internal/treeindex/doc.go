// Package treeindex knows what is in the layers of an image without their content.
//
// [Read] makes an [Index] of one layer: paths, types, modes, owners, targets of
// links, whiteouts, and the texts of /etc/passwd and /etc/group. [Index.Encode] writes
// it, the same index always as the same bytes, and [Decode] reads that. [Overlay] puts
// the indexes of an image's layers on each other and makes the [Tree] that a container
// finds; [Follow] takes the links on the way to a path of one.
//
// Layers and encoded indexes are hostile. What is kept of one is within bounds, and
// nothing is believed that a container runtime would read in more than one way: an
// entry above the root, below a link or below a file, a name that comes twice with
// two meanings, a hard link to what is not there. That is [Odd], and says that nothing
// is known of the image, not that there is anything wrong with it.
//
// The rules are those of the OCI image specification ("Image Layer Filesystem
// Changeset"), and where that leaves something open those of containerd 2 and of
// BuildKit 0.34, as far as the two agree.
//
// Not known are content, sizes, times, device numbers, which names are hard links of
// each other, and the values of extended attributes: of a directory only whether it
// has any.
package treeindex
