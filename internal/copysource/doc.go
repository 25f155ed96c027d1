// Package copysource tells what the sources of a COPY or ADD are in a build
// context: what Docker copies, what Kaniko does, and where the two are not the
// same. It looks at names, types, modes and targets of links, never at content.
//
// Docker's rules are those of BuildKit 0.34 (fsutil's copy.ResolveWildcards and
// the file operations of its solver), Kaniko's those of chainguard 1.25.16 and
// of osscontainertools (util.ResolveSources, CopyCommand in their sources),
// which are the same. What stands in another stage, what comes from a URL and
// where the files go to is not looked at.
package copysource
