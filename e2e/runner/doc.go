// Package runner plays the part of an Actions runner's worker for one
// container step: it lays out the work folder, writes the message that the
// worker hands to a container hook, runs the hook as the worker does, signals
// it as a cancelled job does, and reads the file commands back.
//
// What it imitates is the worker of github.com/actions/runner
// (src/Runner.Worker: ContainerActionHandler.cs, ContainerHookManager.cs,
// ScriptHandler.cs, FileCommandManager.cs and src/Runner.Sdk/ProcessInvoker.cs).
// It reads no action.yml and evaluates no expressions: a [Step] holds what is
// left when the runner has done both.
//
// The package imports the standard library only, because it is compiled into
// the small program that lives in the runner container. Nothing in it is meant
// for untrusted input.
package runner
