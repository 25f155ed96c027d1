// Package hostpath makes the paths in an action's workflow commands those of
// the runner.
//
// A container action that prints "::error file=/github/workspace/a.go,line=3::"
// or "::add-matcher::/github/workspace/matcher.json" means a path of its own
// container. The runner that reads the line has another one, and outside of
// its own Docker engine it does not translate. [Writer] does: the data of
// add-matcher and remove-matcher, and the property file of error, warning and
// notice, where the path lies below one of the given [Mapping]s.
//
// Everything else passes byte for byte, whatever it is and however it is cut
// into writes: long lines, invalid UTF-8, carriage returns, a last line
// without an end. Between ::stop-commands:: and its token nothing is a
// command, so nothing changes there either.
//
// A line that may be a command is held back until it ends, up to 64 KiB; a
// longer one passes as it is. What a problem matcher finds in other lines is
// not translated.
//
// The form of commands is that of
// https://github.com/actions/runner/blob/main/src/Runner.Common/ActionCommand.cs:
// "::name properties::data" after white space at the start of a line, else
// "##[name properties]data" anywhere in it; a carriage return ends a line too.
// White space is ASCII's here, and any of Unicode's there.
package hostpath
