// Package harness sets the stage for the end-to-end tests, the demo and the
// bench: it packs kiln's images from the working tree, makes a namespace and
// installs kiln in it, starts a runner pod as Actions Runner Controller would,
// plays container steps in it, and records what happens to the pods of the
// namespace meanwhile.
//
// The tests install kiln with the chart and Helm ([Cluster.Install]); the demo
// and the bench, which need no Helm, with manifests/ ([Cluster.Namespace]).
//
// It needs a cluster (KUBECONFIG), a registry that pods, nodes and this machine
// reach, and a Kaniko image in it; see [Environment] for the variables.
// "kiln-cluster env" prints them for the local cluster.
//
// Two users never meet as long as they use namespaces of their own. Images are
// tagged by content, so that both may push at the same time.
package harness
