package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"kiln/internal/agent"
	"kiln/internal/failure"
	"kiln/internal/jobdir"
)

// muslSuffix is that of a Node.js for musl among the runner's externals, which
// the runner itself names where it is told that the image is Alpine.
const muslSuffix = "_alpine"

// exitNotFound is the code of a program that is missing, or whose library is.
const exitNotFound = 127

// isNode tells the interpreter of a JavaScript action: /__e/node24/bin/node.
func isNode(program string) bool {
	name, inside := strings.CutPrefix(program, externalsTarget+"/")
	version, ok := strings.CutSuffix(name, "/bin/node")
	_, known := nodeVersion(strings.TrimSuffix(version, muslSuffix))
	return inside && ok && known
}

// bringNode makes the Node.js of a step a program of the job container, the one
// for its image's C library, and returns its path there. The first step that
// names one has it copied.
func (s *scriptStep) bringNode(ctx context.Context, work, program string) (string, error) {
	version := strings.TrimSuffix(path.Base(path.Dir(path.Dir(program))), muslSuffix)
	switch {
	case s.job.Libc&agent.Glibc != 0:
	case s.job.Libc&agent.Musl != 0:
		version += muslSuffix
	default:
		return "", lacksNode()
	}
	dir, err := jobdir.Open(work, s.job.Dir)
	if err != nil {
		return "", err
	}
	if isNoexec(work) {
		return "", noexecNode(version)
	}
	name := path.Join(version, "bin", "node")
	start := time.Now()
	size, err := dir.Bring(ctx, s.job.Externals, name)
	switch {
	case errors.Is(err, fs.ErrNotExist) && s.missing(name):
		return "", s.withoutNode(version)
	case err != nil:
		return "", err
	case size > 0:
		say(s.out, "brought %s to the job container (%s)", version, amount(size, time.Since(start)))
	}
	return path.Join(externalsTarget, name), nil
}

// missing tells that the runner itself lacks a program.
func (s *scriptStep) missing(name string) bool {
	_, err := os.Stat(filepath.Join(s.job.Externals, name))
	return errors.Is(err, fs.ErrNotExist)
}

// withoutNode is the error for a Node.js that the runner does not have.
func (s *scriptStep) withoutNode(version string) error {
	if strings.HasSuffix(version, muslSuffix) {
		return failure.New(failure.BadRequest, "this image has musl (Alpine), and the runner has no Node.js for it: there is no %s in %s. GitHub's runner brings one for x64 alone; use an image with glibc for JavaScript actions", version, s.job.Externals)
	}
	return failure.New(failure.Misconfigured, "the runner has no %s in %s, which this action wants: use a newer image of the runner", version, s.job.Externals)
}

// noexecNode is the error for a Node.js that could come by the work volume alone, from
// which nothing can be started.
func noexecNode(version string) error {
	return failure.New(failure.Misconfigured, "JavaScript actions do not run in this job container: %s would come to it by the work volume, which is mounted noexec. Leave out container: in the job, or have whoever runs these runners mount the volume without that", version)
}

// lacksNode is the error for an image in which no Node.js starts.
func lacksNode() error {
	return failure.New(failure.BadRequest, "this image lacks what GitHub's Node.js needs (glibc 2.28 or newer, and libstdc++): JavaScript actions do not run in it; use another image, or a run: step")
}

// noNodeCode is the exit code for an interpreter that is not there.
func noNodeCode(err error) int {
	if failure.Of(err) == failure.BadRequest {
		return exitNotFound
	}
	return 1
}
