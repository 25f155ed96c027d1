package preflight

import (
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// warnings are what the author should know of a site, whatever builds the
// image.
func (s *site) warnings() []Problem {
	var found []Problem
	if s.needsDaemon() {
		found = append(found, s.warn(
			"the action seems to use a Docker daemon, and a Kubernetes runner has none",
			"Its docker commands will fail unless the step points DOCKER_HOST at a daemon."))
	}
	if s.rotten() {
		found = append(found, s.warn(
			"the packages of "+s.stage.root().image+" are no longer where it looks for them, so this line is likely to fail with docker build too",
			"Use a base image that is still supported."))
	}
	return found
}

// root returns the stage with the image that a stage is built from.
func (s *stage) root() *stage {
	for s.base != nil {
		s = s.base
	}
	return s
}

// dockerClient finds the installation of Docker's client in a RUN.
var dockerClient = regexp.MustCompile(`\b(apk|apt|apt-get|yum|dnf|microdnf)\b[^&;|]*\s(docker|docker-cli|docker-compose|docker\.io|docker-ce|docker-ce-cli)(\s|$|[=~&;|])|get\.docker\.com|download\.docker\.com/linux/static`)

// needsDaemon matches what brings Docker's client into the image.
func (s *site) needsDaemon() bool {
	switch c := s.command.(type) {
	case nil:
		return s.stage != nil && dockerImage(s.stage.image)
	case *instructions.CopyCommand:
		return dockerImage(c.From)
	case *instructions.RunCommand:
		return strings.Contains(s.text(), "docker") && dockerClient.MatchString(s.text())
	}
	return false
}

// dockerImage reports whether a reference is one of the official image
// "docker".
func dockerImage(reference string) bool {
	parsed, err := name.ParseReference(reference)
	return err == nil && parsed.Context().Name() == "index.docker.io/library/docker"
}

// packages finds a package manager of a distribution that moves its old
// releases away.
var packages = regexp.MustCompile(`\b(apt|apt-get|aptitude|yum|dnf)\b`)

// ended finds official images whose package sources have moved: to
// archive.debian.org, old-releases.ubuntu.com and vault.centos.org.
var ended = regexp.MustCompile(`^library/(` +
	`[a-z0-9-]+:[\w.-]*\b(wheezy|jessie|stretch|buster)\b[\w.-]*` +
	`|debian:([789]|10)(\.\d+)?(-[\w.-]+)?` +
	`|ubuntu:(1[0-35]\.\d+|14\.10|16\.10|17\.\d+|18\.10|19\.\d+|20\.10|21\.\d+|22\.10|23\.\d+|24\.10|precise|utopic|vivid|wily|yakkety|zesty|artful|cosmic|disco|eoan|groovy|hirsute|impish|kinetic|lunar|mantic|oracular)(-[\w.-]+)?` +
	`|node:([4-9]|1[0-4])(\.\d+)*(-slim)?` +
	`|centos:\S+)$`)

// rotten matches a RUN that installs packages of a release that ended.
func (s *site) rotten() bool {
	if _, run := s.command.(*instructions.RunCommand); !run {
		return false
	}
	tag, err := name.NewTag(s.stage.root().image)
	if err != nil || tag.RegistryStr() != name.DefaultRegistry || !ended.MatchString(tag.RepositoryStr()+":"+tag.TagStr()) {
		return false
	}
	text := s.text()
	return packages.MatchString(text) &&
		!strings.Contains(text, "archive.debian.org") && !strings.Contains(text, "old-releases.ubuntu.com") && !strings.Contains(text, "vault.centos.org")
}
