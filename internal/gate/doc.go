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
//	                                   pushed any more
//	# <text>                           a diagnosis for people
//
// Lines are at most some hundred bytes of printable text, and their number is
// bounded. The digest is computed from the manifest that was forwarded. The
// reason after kept is the registry's; whoever acts on it looks the tag up.
//
// Layers that are listed for inspection are looked through while they pass: in
// bounded memory, two at a time, to the first entry that is unfit.
//
// The gate does not limit how much is uploaded, does not keep a build from
// reading other content of a listed repository by digest, and does not keep
// the builder from the network.
package gate
