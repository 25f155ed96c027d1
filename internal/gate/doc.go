// Package gate is the registry proxy of a build pod. It holds the registry
// credentials that the builder beside it must not see, and forwards only what
// one build needs:
//
//   - pulls of the images that the Dockerfile names, by listed tag or by digest;
//     a tag that is listed with a digest is answered with exactly that digest,
//   - blob uploads to the one repository that the build pushes to, and mounts
//     of blobs from the listed images,
//   - one image manifest of at most 4 MiB, never an index, under the build's
//     tag, whose config and layers are blobs of the registry itself; the same
//     bytes may be sent again.
//
// Everything else is answered with the registry error DENIED and reported.
//
// Its client is hostile: a RUN step shares everything with the builder and may
// send any request. No path, query or header of a request reaches a registry
// unless it is on a list; upload addresses of registries stay inside, the
// client sees numbers. Credentials go to the registry they belong to and
// nowhere else: not to the target of a redirect, not over plain HTTP unless the
// operator named the host.
//
// # Paths
//
// Every image is addressed as /v2/<registry>/<repository>/..., where the
// registry is written as registry.Element writes it, so one gate serves all
// registries of a build.
//
// # Log
//
// The gate's standard output is a protocol, one line each:
//
//	listening                          connections are accepted
//	denied <METHOD> <PATH>: <reason>   a request was refused
//	pushed sha256:<digest>             the registry accepted the manifest
//	kept <reason>                      the registry refused it: the tag exists
//	                                   and must not change
//	unfit <IMAGE> <reason>             a layer that the executor unpacks otherwise
//	                                   than Docker was cut off, and nothing can be
//	                                   pushed any more; or "lacks " and what the image
//	                                   does not have, when it would be pushed
//	noindex sha256:<digest> <reason>   the index of a layer is not kept
//	# <text>                           a diagnosis for people
//
// Lines are at most some hundred bytes of printable text, and their number is
// bounded. The digest is computed from the manifest that was forwarded. The
// reason after kept is the registry's; whoever acts on it looks the tag up. That of
// noindex is for people.
//
// Layers that are listed for inspection, or for an index, are looked through while they
// pass: in bounded memory, two at a time, to the first entry that is unfit. What an image has to
// have is looked for in them too. A third layer waits where it is to be inspected, and passes
// without an index where that is all that is wanted of it.
//
// # Indexes
//
// Where it is told to, the gate makes an index (package treeindex) of each layer that
// the build uploads, as the layer passes, and puts it beside the layer under the tag
// that follows from the digest (package treestore), unless there is one. The client
// chooses neither tag nor content: an index is made of exactly the bytes that the gate
// has hashed, and named by their digest, once the registry has taken a blob of that
// digest. Bytes that came in pieces out of order, or twice, or not to their end, have
// another digest, and no index.
//
// Layers that are listed for it get an index too where the client pulls them: of one whole
// answer that was passed on to its end and has the digest which was asked for. They are
// looked through once, as for inspection, and what that reads makes the index: entries are
// sorted, packed and pushed after the pull. A layer that the build would mount is its
// base's, and gets an index by its pull alone. A pull that breaks off, or finds the memory
// taken, leaves the index to the next one; a layer that can have none is not looked through
// for it again.
//
// All indexes of a build are made within the same 16 MiB, and for at most 200 uploads and
// pulls: layers of some 40,000 files together, but no upload by zstd. What is odd, or has no
// room there, passes as ever. The report of the manifest waits for the indexes, for two
// seconds at most; a build does not fail where one cannot be kept.
//
// The gate does not limit how much is uploaded, does not keep a build from
// reading other content of a listed repository by digest, and does not keep
// the builder from the network.
package gate
