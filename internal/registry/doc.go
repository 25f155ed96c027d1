// Package registry holds what kiln knows about image registries: how built
// images are named, which credentials belong to which repository, which
// registries have a mirror and which are spoken to without TLS; and it looks
// images up.
//
// Registries are always named as go-containerregistry's name.Registry writes
// them: lower case, with the port if there is one, Docker Hub as
// index.docker.io.
//
// Names, credentials, mirrors and plain HTTP are decided by the operator. The
// only value of a workflow in a name is the workspace path given to
// [Names.Image], which is reduced to a safe repository component below the
// operator's prefix.
//
// # Look-ups
//
// A [Client] asks registries for the digest of a tag, for an image that kiln
// built, and for the ONBUILD triggers of a base image. A Dockerfile names the
// base images, so their registries are hostile: answers are bounded in time,
// size and number of elements, what has a digest is compared with it, and
// nothing else is believed than which digest a tag stands for. Credentials go
// to the registry that they belong to, to its token server and nowhere else:
// not to the target of a redirect, not over plain HTTP unless the operator
// named the host. Those for pushing are used for images that kiln built only.
//
// # Pushing
//
// A [Client] pushes blobs and manifests below the operator's prefix, and nowhere
// else, with the credentials for pushing; layers of base images are read with those
// for pulling and passed on as a stream, never whole in memory, and are what their
// image says or an error. A layer that the registry has in another repository is
// mounted from there where the registry lets it be.
//
// The client does not keep a Dockerfile from making it ask any host by HTTPS
// whether it is a registry; network policies do that.
package registry
