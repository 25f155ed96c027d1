// Package buildcontext turns the directory of a Dockerfile into one tar
// archive, and an archive from an untrusted hand into a canonical one.
//
// [Stage] runs with the rights of the workflow: it reads the directory,
// applies the .dockerignore as BuildKit does and writes a plain tar.
// [Canonical] runs in the daemon: it believes nothing of that tar, refuses
// what an extraction could stumble over, and writes what is left as a gzip
// compressed tar. [ReadFile] takes one small file out of that, a [Tree] lists what is
// in it, and [Pick] writes a part of it. [Head] writes what goes before it on its way
// to a builder.
//
// # Layout
//
// What [Canonical] writes lies below the directory [Dir] of its archive, so that
// files which are not the author's, those of [Head], have room beside it: "COPY
// . ." copies the author's files alone, as they are.
//
// # Canonical form
//
// Entries are directories, regular files and symbolic links. Names are clean
// slash-separated paths relative to the context, at most 4095 bytes with at
// most 255 between two slashes; the context itself has no entry. Names are
// compared component by component, bytes as unsigned numbers, so that a
// directory stands right before what is in it; each name comes once, after
// the directories that lead to it. Owner and group are 0 without names, as
// COPY gives them; mode bits 07777 are kept, and are 0777 for links;
// every modification time is [Time]; there is nothing else.
//
// Links are kept as they are, absolute and dangling ones included: nothing below
// a link is ever an entry, so no extraction follows one. Stage refuses circular
// ones, which Canonical lets through: they harm no extraction, but Kaniko.
//
// # Guarantees
//
// The same tree gives the same archive, and for one version of Go the same
// compressed bytes. The digest of a [Summary] covers each path, type, mode,
// link target, size and content, and nothing else: not times, not owners, not
// the compression. Stage and Canonical agree on it. Memory does not grow with
// the archive, but for the names of a Tree, which has a bound.
//
// # No guarantees
//
// kiln does not carry extended attributes, hard links (each name becomes a
// file of its own) or sparse regions. Stage does not take a
// snapshot: a tree that changes meanwhile is staged in some mixture of states,
// unless a single file changes its size under way, which is an error. No
// function undoes what it has written when it fails.
package buildcontext
