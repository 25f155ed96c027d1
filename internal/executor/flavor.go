package executor

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"k8s.io/apimachinery/pkg/util/version"
)

// Names of the forks of Kaniko that kiln knows.
const (
	// Chainguard is github.com/chainguard-dev/kaniko.
	Chainguard = "chainguard"
	// Osscontainertools is github.com/osscontainertools/kaniko.
	Osscontainertools = "osscontainertools"
)

// Flavor says which Kaniko an executor image holds. The forks differ in their
// flags and in what they build like Docker.
type Flavor struct {
	// Name is [Chainguard] or [Osscontainertools].
	Name string
	// Version is the release without a leading v, such as "1.28.3"; empty when
	// the image reference does not tell, which counts as a release that kiln
	// knows.
	Version string
}

// String returns the flavor as KILN_KANIKO_FLAVOR takes it.
func (f Flavor) String() string {
	if f.Version == "" {
		return f.Name
	}
	return f.Name + "@" + f.Version
}

// SkipsUnused reports whether certainly no stage is built that the last one does not need.
// The osscontainertools executor builds what the last stage goes back to by FROM and COPY,
// and nothing else (MakeKanikoStages in its source); what a release does that is newer, or
// not known, is not certain. Any other Kaniko does not get such a stage.
func (f Flavor) SkipsUnused() bool {
	return f.Name != Osscontainertools || f.Version != "" && f.Newer() == ""
}

// publishers maps an element of an image's repository, or its registry, to
// the fork that is published there. A mirror that keeps the path is
// recognized too.
var publishers = map[string]string{
	"cgr.dev":              Chainguard,
	"chainguard":           Chainguard,
	"chainguard-dev":       Chainguard,
	"chainguard-forks":     Chainguard,
	"osscontainertools":    Osscontainertools,
	"martizih":             Osscontainertools, // on Docker Hub
	"kaniko-project":       google,
	"googlecontainertools": google,
}

const google = "google"

// fixed are the first releases without CVE-2026-28406, by which a build
// context gets out of its directory (GHSA-6rxq-q92g-4rmf and the forks'
// release notes).
var fixed = map[string]string{
	Chainguard:        "1.25.10",
	Osscontainertools: "1.28.0",
}

// described are the releases that the support table was made with.
var described = map[string]string{
	Chainguard:        "1.25.16",
	Osscontainertools: "1.28.3",
}

var errArchived = errors.New("the Kaniko of GoogleContainerTools is archived and has CVE-2026-28406, by which a build context gets out of its directory: " +
	"use ghcr.io/osscontainertools/kaniko, or a build of chainguard-dev/kaniko")

// ParseFlavor reads a flavor as an operator writes it: chainguard@1.25.16,
// osscontainertools@1.28, or one without its version.
func ParseFlavor(text string) (Flavor, error) {
	flavor, release, _ := strings.Cut(text, "@")
	f := Flavor{Name: flavor, Version: strings.TrimPrefix(release, "v")}
	if f.Name == google || f.Name == "kaniko-project" || strings.EqualFold(f.Name, "GoogleContainerTools") {
		return Flavor{}, errArchived
	}
	if _, known := fixed[f.Name]; !known {
		return Flavor{}, fmt.Errorf("it is %q: write %s@1.25.16 or %s@1.28", text, Chainguard, Osscontainertools)
	}
	return f, f.check()
}

// ImageFlavor tells the flavor from the reference of an executor image. The
// error for one that says nothing asks for KILN_KANIKO_FLAVOR.
func ImageFlavor(image string) (Flavor, error) {
	reference, err := name.ParseReference(image)
	if err != nil {
		return Flavor{}, fmt.Errorf("%q is not an image reference", image)
	}
	found := publisher(reference.Context())
	switch found {
	case "":
		return Flavor{}, fmt.Errorf("%q does not tell which Kaniko it holds: set KILN_KANIKO_FLAVOR to %s@<version> or %s@<version>",
			image, Osscontainertools, Chainguard)
	case google:
		return Flavor{}, errArchived
	}
	f := Flavor{Name: found, Version: release(image)}
	return f, f.check()
}

// publisher returns who publishes a repository, or "".
func publisher(repository name.Repository) string {
	elements := append([]string{repository.RegistryStr()}, strings.Split(repository.RepositoryStr(), "/")...)
	for _, element := range slices.Backward(elements) {
		if found := publishers[strings.ToLower(element)]; found != "" {
			return found
		}
	}
	return ""
}

// tagged finds a release in a tag, such as the one in "v1.28.3-slim".
var tagged = regexp.MustCompile(`:v?(\d+\.\d+(?:\.\d+)?)(?:-[\w.-]+)?(?:@|$)`)

// release returns the release that an image's tag names, or "".
func release(image string) string {
	if found := tagged.FindStringSubmatch(image); found != nil {
		return found[1]
	}
	return ""
}

// check refuses releases with a known hole.
func (f Flavor) check() error {
	if f.Version == "" {
		return nil
	}
	have, err := version.ParseGeneric(f.Version)
	if err != nil {
		return fmt.Errorf("%q is not a version: write it as %s@%s", f.Version, f.Name, fixed[f.Name])
	}
	if have.LessThan(version.MustParseGeneric(fixed[f.Name])) {
		return fmt.Errorf("%s has CVE-2026-28406, by which a build context gets out of its directory: use %s or newer", f, fixed[f.Name])
	}
	return nil
}

// ChooseFlavor returns the flavor that the setting names, or the one that the
// image's reference tells when setting is empty. Errors name the setting to
// mend.
func ChooseFlavor(image, setting string) (Flavor, error) {
	found, err := ImageFlavor(image)
	if err != nil && (setting == "" || errors.Is(err, errArchived)) {
		return Flavor{}, fmt.Errorf("KILN_KANIKO_IMAGE: %w", err)
	}
	if setting == "" {
		return found, nil
	}
	f, err := ParseFlavor(setting)
	if err != nil {
		return Flavor{}, fmt.Errorf("KILN_KANIKO_FLAVOR: %w", err)
	}
	return f, nil
}

// Newer returns a warning for a release that is newer than the support table, which
// says nothing of it, or "".
func (f Flavor) Newer() string {
	have, err := version.ParseGeneric(f.Version)
	known := described[f.Name]
	if err != nil || known == "" || !have.GreaterThan(version.MustParseGeneric(known)) {
		return ""
	}
	return fmt.Sprintf("%s is newer than %s, with which it was tried what builds as with Docker: it can build otherwise without a word", f, known)
}
