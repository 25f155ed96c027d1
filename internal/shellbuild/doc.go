// Package shellbuild is `kilnd build`: one build of a Dockerfile's directory,
// from a shell on a person's machine or in a kiln container, by the code that
// builds for steps.
//
// # Guarantees
//
// Context, preflight, key, look-up, build pod, failures and log are those of a
// step ([kiln/internal/request]). From outside the cluster the settings are
// those of the namespace's runners, where nothing else was said, so that such a
// build and one of a step share pod and image.
//
// Nothing stays behind: neither files, nor pods, nor the Job that the pod
// belongs to. Where the process is killed, the cluster deletes these.
//
// # Not
//
// It runs no image. It reads no Secret of the cluster: outside of it, look-ups
// in registries use the credentials of the person's own Docker config.
package shellbuild
