// Package tarball tells what an ADD makes of a file of the build context: whether
// Docker takes it for an archive, whether Kaniko does, and what in it Kaniko
// unpacks otherwise.
//
// Docker's rules are those of BuildKit 0.34 (isArchivePath and unpack in
// solver/llbsolver/file, with moby/go-archive 0.2), Kaniko's those of chainguard
// 1.25.16 and osscontainertools 1.28.3 (UnpackLocalTarArchive and ExtractFile in
// pkg/util). Content decides for both, never the name.
//
// The file is hostile: what is unpacked on the way is thrown away and bounded, in
// bytes, entries and the memory of decoders. A damaged archive is told from a
// whole one as far as the bounds reach. [Repack] writes a small archive so that
// Kaniko unpacks it as Docker does; [List] and [Walk] are for who unpacks it as Docker
// does.
package tarball
