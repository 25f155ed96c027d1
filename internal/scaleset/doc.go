// Package scaleset writes what a runner scale set of Actions Runner Controller needs to
// run kiln, its overlay: the sidecar, the hook and their volumes in the runner's pod
// template, as values of the chart gha-runner-scale-set or as an object for server-side
// apply.
//
// Both are pure functions of [Settings] and give commented YAML. The text is one
// template, of which the chart in charts/kiln has a copy, so that what an installed
// chart shows and what this package prints are the same. What goes into the template is
// checked first and quoted, so that a setting is never more than a value.
//
// The overlays name objects that the chart or manifests/ create: the service account
// kiln (sealed mode), and the ConfigMaps kiln and kiln-files; and Secrets and a ConfigMap
// of the operator's. The package does not talk to a cluster and does not know whether
// they exist: all but the service account and the pull Secrets may be missing, and a
// runner starts all the same.
package scaleset
