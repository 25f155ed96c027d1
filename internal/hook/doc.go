// Package hook reads what the GitHub Actions runner hands to a container hook.
//
// The runner starts the hook once per command and writes one line of JSON to
// its stdin. [Parse] reads that line, [Input.Container] the arguments of the
// command run_container_step, [Input.Script] those of run_script_step, [SplitArgs] turns the argument fragments into
// the argument list that the action's author meant, and [StepEnv] completes
// the environment as the runner itself does for Docker. [EscapeData] and
// [EscapeProperty] make text fit the commands that a hook prints for the runner.
//
// The package is tolerant where the runner's versions differ: unknown and
// missing fields, nulls, a byte order mark and surrounding white space are
// accepted. A value of the wrong JSON type is an error that names the field.
// Invalid UTF-8 and lone surrogates become U+FFFD, as encoding/json does.
//
// Environment values and arguments carry secrets: no error and no String
// method of this package shows one. Marshalling a [Container] as JSON does,
// on purpose, because that is how a step is handed on.
//
// The package does not limit the size of its input, does not look at the file
// system and does not decide whether a command is kiln's to serve.
//
// The format is defined by the runner's sources: HookInput.cs and
// ContainerHookManager.cs in
// https://github.com/actions/runner/tree/main/src/Runner.Worker/Container/ContainerHooks
// and ContainerActionHandler.cs in
// https://github.com/actions/runner/tree/main/src/Runner.Worker/Handlers.
package hook
