// Package repo holds no code, only tests: the rules of this repository that a compiler
// and a linter do not check. They read every Go module of the work tree, so a rule
// holds for a package from its first file on.
//
//   - documentation: each package has one package comment
//   - names: no package is called after a drawer that things are put in
//   - size: files, functions and parameter lists stay small
//   - state: no init functions
//   - dependencies: the shim stays free of Kubernetes code, and programs of tests
//   - words: no file promises work or names the place where it was written
//   - documents: links lead somewhere, commands, packages and named tests exist, and
//     tables of settings are those of the code
//   - manifests: they decode strictly, grant what kilnd uses, and agree with the chart
//   - chart: its schema, defaults and README follow from the code, and its alerts and
//     dashboard name metrics that there are
//   - workflows: actions are pinned, and have the least permissions
//   - detection: no package that is tested without the race detector starts a goroutine
//   - the centre: its picture names functions that exist, and no type embeds another
//
// The rules need a work tree with the go command; those that ask git are skipped
// without it, and those that run Helm or Prometheus without those.
package repo
