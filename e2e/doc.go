// Package e2e holds the end-to-end tests: kiln as a user has it, in a runner
// pod on a real cluster, with the real Kaniko and real registries. The tests
// need the build tag e2e and the environment of package
// [kiln/e2e/harness]; "make e2e" provides both.
//
// Each test works in a namespace of its own, which enforces the Pod Security
// level baseline, and deletes it. A test that fails prints the pods and events
// of its namespace and the daemon's log first.
package e2e
