// Package repo holds no code, only tests: the rules of this repository that a compiler
// and a linter do not check. They read every Go module of the work tree, so a rule
// holds for a package from its first file on.
//
//   - documentation: each package has one package comment
//   - names: no package is called after a drawer that things are put in
//   - size: files, functions and parameter lists stay small
//   - state: no init functions
//   - dependencies: the shim stays free of Kubernetes code
//   - words: no file promises work or names the place where it was written
//   - documents: links lead somewhere, commands and named tests exist
//   - manifests: they decode strictly, and grant what the design lists
//
// The rules need a work tree with the go command; those that ask git are skipped
// without it.
package repo
