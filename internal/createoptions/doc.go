// Package createoptions reads the options of a job container or a service
// (container.options, services.ID.options): the text that the runner puts on
// docker create's command line, unparsed, and that Docker then reads.
//
// # Reading
//
// The text is split as .NET splits it for Docker: a space or a tab separates,
// double quotes group, a backslash counts before a double quote alone. Two
// things are read with more leniency than Docker gets to see: a line break
// separates too, and single quotes group where a word or a value (after =)
// begins, as authors mean them. The flags are Docker's own, read by Docker's own library for
// flags (github.com/spf13/pflag): --x=y and --x y, -x y, -xy and clusters; of a
// flag that has one value the last counts. Sizes are Docker's (binary, b k m g),
// and so are durations and limits (github.com/docker/go-units).
//
// # What becomes of an option
//
// Every option of docker create (docker/cli, cli/command/container/opts.go) is
// one of: a field of [Options]; ignored, as it means nothing in a job (--rm);
// named in [Options.Warning], where it only tunes; or an error, where it changes
// the result and a pod has no counterpart. An option that Docker does not know
// is an error as well.
//
// The package decides nothing that is the operator's: [Options.Rights] names
// the options that want more rights than Pod Security baseline gives.
//
// # Bounds
//
// The text is hostile: it is at most 64 KiB and 2,000 words long, and variables
// by --env and --env-file are at most 5,000. Time and memory are linear in it.
// No value of a variable stands in an error or a warning.
package createoptions
