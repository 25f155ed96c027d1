// Package registry holds what kiln knows about image registries: how built
// images are named, which credentials belong to which repository, which
// registries have a mirror and which are spoken to without TLS.
//
// Registries are always named as go-containerregistry's name.Registry writes
// them: lower case, with the port if there is one, Docker Hub as
// index.docker.io.
//
// Everything here is decided by the operator. The only value that comes from a
// workflow is the workspace path given to [Names.Image], which is reduced to a
// safe repository component below the operator's prefix. The package makes no
// network requests.
package registry
