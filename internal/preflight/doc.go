// Package preflight reads a Dockerfile before anything is built: it reports
// syntax errors with file, line and the line's text, lists the external images
// that the build will ask for, and knows what the Kaniko at hand would build
// differently from Docker, some of which it writes in another way.
//
// The Dockerfile is hostile input that is read in a trusted process, so the
// work is bounded: the file, the number of instructions, every value that an
// ARG or ENV expands to and all of them together. A Dockerfile that goes beyond
// a bound is refused with an [Error], as is one that Docker's parser refuses.
// The same holds for the ONBUILD triggers of a base image.
//
// [Table] is the support table: data, one [Row] for each construct that a
// flavor of Kaniko does not build as Docker does.
//
// What is known comes in values that nothing changes, each made of the one before
// and of what was learned meanwhile. [Parse] makes a [File] of the text.
// [File.Report] applies the table to it, for one Kaniko and one context, and refuses
// or makes a [Report]. [Report.Send] is told the base images that the report asks for
// and makes a [Sent]: the Dockerfile to send, the author's with the places
// whose verdict is [Mend] written so that the flavor builds what Docker builds of
// the author's. It guarantees that every instruction keeps its line, that all
// others keep their bytes, and that what was written parses to what was meant; it
// refuses what it cannot write exactly. A build also has to know its bases:
// [File.Base] looks at one, [File.Above] applies the table to the triggers of all, and
// to what their environments decide.
//
// The build context decides some of the rows: [File.Context] lists what is in it and
// looks into the files that ADD names.
//
// Parsing and expansion are BuildKit's own. What a running command decides is not known
// here: a file that a RUN writes is not seen. Nor, before [File.Above], is a variable that
// a base may set, which is left alone; and the base's user and working directory never
// are.
package preflight
