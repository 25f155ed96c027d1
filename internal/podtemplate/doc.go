// Package podtemplate reads the pod templates that operators write in YAML.
//
// The stock hook of actions/runner-container-hooks reads the same file with
// js-yaml, which knows YAML 1.2: `yes`, `on` and `N` are text there, and 0777
// is seven hundred and seventy-seven. Decode gives each value and each key the
// meaning that js-yaml 4.1 (hooks v0.7.0 to v0.8.1) and js-yaml 5 (the hooks'
// main branch) both give it, and refuses with its line what they, or a reader of
// YAML 1.1 such as kubectl, take for different numbers. What Kubernetes would
// refuse in every step, such as a number where it wants text, and what a
// template has no place for is refused with its line too.
//
// Anchors, aliases and merge keys (`<<`) work as in js-yaml 4.1. Tags other
// than !!str, !!seq and !!map, further documents and keys given twice are
// errors. The package does not check what values mean to Kubernetes.
package podtemplate
