// Package action makes the Kubernetes objects that run a container action: a
// Job with one container, and the Secret with its environment.
//
// The functions are pure. What they promise is what `docker run` gives an
// action on a GitHub-hosted machine: the runner's mounts, the entry point and
// arguments as the runner means them, the environment with every value
// intact. The container gets no service account token and no service
// environment, and what a workflow writes into arguments is not expanded by
// the kubelet.
//
// kiln does not join the action to the network of a job's services, and it
// ignores createOptions, ports and user mounts, which the runner never sends
// for a step.
package action
