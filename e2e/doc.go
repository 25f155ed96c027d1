// Package e2e holds the end-to-end tests: kiln as a user has it, in a runner
// pod on a real cluster, with the real Kaniko and real registries. The tests
// need the build tag e2e and the environment of package
// [kiln/e2e/harness]; "make e2e" provides both.
//
// A case is a step and what it has to come to: it stands on package
// [kiln/e2e/suite], which has an example, plays steps of package
// [kiln/e2e/sample] or its own, and says with package [kiln/e2e/outcome] what
// they have to come to.
//
// Each test works in a namespace of its own, which enforces the Pod Security
// level baseline, and deletes it. A test that fails prints the pods and events
// of its namespace and the daemon's log first.
package e2e
