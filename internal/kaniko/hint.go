package kaniko

import (
	"regexp"
	"slices"
)

// exitHint says what an exit code of a shell mostly means.
func exitHint(code string) string {
	switch code {
	case "126":
		return "a command in it may not be executed, check its mode"
	case "127":
		return "a command in it is not in the image"
	case "137":
		return "a process of it was killed, it may have run out of memory (KILN_BUILD_MEMORY)"
	}
	return ""
}

// outputHint is what a line of a RUN's output mostly means.
type outputHint struct {
	line *regexp.Regexp
	hint string
}

// outputHints are in the order in which they are tried. The texts are those of
// apt, apk, yum and dnf, curl, wget, pip, npm, Go and OpenSSL. Where there is no
// network, apt goes on without its lists and then misses every package; so what
// keeps a RUN from a server comes before what the server has not.
func outputHints() []outputHint {
	return []outputHint{
		{
			regexp.MustCompile(`(?i)does not have a Release file|no longer has a Release file|E: Release file for \S+ is expired|mirrorlist\.centos\.org|No URLs in mirrorlist`),
			"the distribution of its base image has ended and the packages have moved away, so docker build would fail too; choose a newer base image",
		},
		{
			regexp.MustCompile(`certificate signed by unknown authority|SSL certificate problem|(?i)certificate[ _]verify[ _]failed|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_GET_ISSUER_CERT`),
			"it seems not to trust a server's certificate; where a proxy stands between, the image has to know the proxy's CA",
		},
		{
			regexp.MustCompile(`(?i)could(?: not|n't) resolve host|temporary failure (?:in name resolution|resolving)|name or service not known|no such host|wget: bad address|unable to resolve host|ENOTFOUND|EAI_AGAIN|DNS: transient error|` +
				`connection timed out|connection refused|network is unreachable|no route to host|ETIMEDOUT|ECONNREFUSED|i/o timeout|could not connect to|failed to connect to|cannot initiate the connection|failed to establish a new connection|network error \(check internet connection`),
			"it seems not to have reached a server; an operator has to let build pods out to it, directly or by a proxy",
		},
		{
			regexp.MustCompile(`E: Unable to locate package|E: Version '[^']*' for '[^']*' was not found|unable to select packages:|No matching distribution found for|npm (?:ERR!|error) (?:code )?(?:ETARGET|E404)|E: Failed to fetch \S+\s+404`),
			"a package is not, or no longer, there under that name and version, so docker build would fail too",
		},
		{
			regexp.MustCompile(`(?i)no space left on device`),
			"a disk was full; an operator has to raise KILN_BUILD_STORAGE or give the node more ephemeral storage (/dev/shm has 64 MiB)",
		},
		{
			regexp.MustCompile(`(?i)cannot connect to the docker daemon|docker\.sock`),
			"it seems to need a Docker daemon, and builds have none",
		},
		{
			regexp.MustCompile(`(?i)\b(?:mount|chroot|unshare|iptables|modprobe|mknod)\b.*(?:operation not permitted|permission denied|are you root)`),
			"it seems to need a right that builds have not",
		},
	}
}

// hintIn says what the lines mostly mean that a RUN printed last, "" for
// nothing known. It is forged as easily as printed, and is wording only.
func hintIn(lines []string) string {
	for _, h := range outputHints() {
		if slices.ContainsFunc(lines, h.line.MatchString) {
			return h.hint
		}
	}
	return ""
}

// output is what was printed since the last instruction was begun, as far as it
// is kept.
func (l *Log) output() []string {
	begun := 0
	for i, line := range l.last {
		if own, ok := parseRecord(line); ok && isInstruction(own.Msg) {
			begun = i + 1
		}
	}
	return l.last[begun:]
}
