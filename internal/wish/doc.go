// Package wish finds the Dockerfiles of the container actions that a job has brought,
// before a step asks for one.
//
// The runner empties _actions below its work folder at the beginning of a job and
// downloads what the job uses, the actions of composite actions included, as
// OWNER/REPOSITORY/REF, with a file REF.completed beside each (actions/runner,
// ActionManager.cs). A repository may hold many actions: those that the job names, by
// its message or by a composite action, are looked at; where the message is not known,
// that at the root of each repository, or else all below it.
//
// # Guarantees
//
// What is looked at is bounded in directories, entries, depth and bytes, and nothing
// outside _actions is: no link leads out. Only regular files are read. What is missing,
// odd or beyond the bounds is no wish, and never an error.
//
// # Not guaranteed
//
// A step may want a Dockerfile that is not found here, and need none that is: actions in
// the checkout are not there yet, and steps are skipped. action.yml is read for three
// keys, by a part of YAML: see manifest.go.
package wish
