package kaniko

import (
	"fmt"
	"regexp"
	"strings"

	"kiln/internal/failure"
)

// What registries and the network answer, as go-containerregistry and Go's
// net package put it. Error codes are those of
// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#error-codes;
// UNAVAILABLE is the gate's own, for a registry that it cannot use.
var (
	missingAnswer     = regexp.MustCompile(`MANIFEST_UNKNOWN|NAME_UNKNOWN|NOT_FOUND|status code 404`)
	deniedAnswer      = regexp.MustCompile(`UNAUTHORIZED|DENIED|status code 40[13]`)
	platformAnswer    = regexp.MustCompile(`no child with platform (\S+) in index`)
	unreachableAnswer = regexp.MustCompile(`UNAVAILABLE|TOOMANYREQUESTS|status code (?:429|5\d\d)|dial tcp|no such host|connection re(?:fused|set)|i/o timeout|TLS handshake|unexpected EOF|Client\.Timeout`)
)

// unreachable reports whether a registry gave no answer of use, so that it may
// give one later.
func unreachable(text string) bool { return unreachableAnswer.MatchString(text) }

// baseFailure explains why an image cannot be pulled. A mirror may say that it
// lacks an image whose registry then cannot be reached, so that comes first.
func baseFailure(image, text string) Failure {
	f, text := Failure{Image: image}, attempt.ReplaceAllString(text, "")
	switch platform := platformAnswer.FindStringSubmatch(text); {
	case platform != nil:
		f.Reason = failure.BaseImageNotFound
		f.Message = fmt.Sprintf("the image %s does not exist for %s: choose one that does, or run on other nodes", image, platform[1])
	case unreachable(text):
		f.Reason = failure.RegistryUnreachable
		f.Message = fmt.Sprintf("the image %s cannot be pulled: %s", image, answer(text))
	case missingAnswer.MatchString(text):
		f.Reason = failure.BaseImageNotFound
		f.Message = fmt.Sprintf("the image %s does not exist: check its name and tag (%s)", image, answer(text))
	case deniedAnswer.MatchString(text):
		f.Reason = failure.BaseImageDenied
		f.Message = fmt.Sprintf("the registry does not let kiln pull the image %s: it may not exist, or the operator's registry secret has no access to it (%s)", image, answer(text))
	default:
		f.Reason = failure.Internal
		f.Message = fmt.Sprintf("the image %s cannot be pulled: %s", image, answer(text))
	}
	return f
}

// pushFailure explains why the registry has not the image. What it says no to
// is refused; what it does not answer may be answered later.
func pushFailure(text string) Failure {
	text = attempt.ReplaceAllString(text, "")
	if unreachable(text) && !deniedAnswer.MatchString(text) {
		return Failure{
			Reason:  failure.RegistryUnreachable,
			Message: "the image cannot be pushed: " + answer(text),
		}
	}
	return Failure{
		Reason:  failure.RegistryDeniedPush,
		Message: "the registry did not take the image: " + answer(text),
	}
}

// attempt is what the executor puts before a registry's answer: how often it
// tried, and the request to the gate.
var attempt = regexp.MustCompile(`^(unable to complete operation after \d+ attempts, last error: )?((GET|HEAD|POST|PATCH|PUT) https?://\S+: )?`)

// answer reduces an error of the executor to what the registry or the gate
// said.
func answer(text string) string {
	reduced := attempt.ReplaceAllString(text, "")
	return strings.TrimSuffix(strings.Replace(Translate(reduced), "UNAVAILABLE: kiln gate: ", "", 1), ".")
}
