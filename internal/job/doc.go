// Package job makes the Kubernetes objects of a job with containers: the pod of its
// job container, the Secret with the environment and the secret of its door, the
// Secret with which nodes pull its images, and the document that the runner reads.
//
// The functions are pure. What they promise is what `docker create` gives the
// container of a job on a GitHub-hosted machine: the runner's mounts, the image's
// environment and over it the author's, its user and its rights as far as a pod of
// Pod Security's baseline level has them. The image's entry point does not run, as it
// does not there: the container's process is kiln's agent, which starts the steps
// ([kiln/internal/agent]).
//
// No value of a variable, no password and not the door's secret stands in a pod. The
// pod gets no service account token and no service environment.
package job
