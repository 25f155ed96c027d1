// Package doctor finds what an installation of kiln can get wrong, and says how
// to mend each.
//
// An examination ([Run]) is a number of checks. Each looks at one thing and returns
// findings: what was seen and, where it is a fault, what to do. Checks are
// independent, bounded in time and run at once; one that builds on another waits
// for it, and is skipped with the reason where that one failed.
//
// It looks from one of two places. In the kiln container it has the settings,
// files and rights of the daemon. Elsewhere, as on an operator's machine, it has
// the operator's rights, reads the settings from the cluster, and looks at the
// specifications of the runner pods of a namespace; what only the inside of a
// container shows is skipped there.
//
// It leaves nothing behind: what it creates it deletes, also when it is
// interrupted. The one exception is an image of 3 KiB in a
// registry that does not delete; the findings name it. Findings hold no
// credentials.
package doctor
