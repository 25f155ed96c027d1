// Package extension merges the operator's hook extension, a pod template, into the
// pods that kiln makes, by the rules of the stock hook (actions/runner-container-hooks,
// docs/adrs/0134-hook-extensions.md). In the pods of whole jobs, where kiln has an
// author's options that the stock hook does not read, it merges more than that.
//
// What is the author's stays the author's: a template replaces no image, entry point,
// arguments, working directory or variable of a container, nor kiln's own labels and
// the restart policy, and it sets no label by which a runner's pods are deleted.
package extension
