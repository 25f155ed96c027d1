package main

import (
	"cmp"
	"os"
	"path/filepath"
	"strconv"

	"kiln/internal/failure"
	"kiln/internal/workerlog"
)

// serviceNames looks the names of the job's services up in the log of the
// runner's worker, which lies in the runner's own directory: that of its
// externals, or that of the worker, or above the work folder.
func (a jobArgs) serviceNames(work string) []string {
	if len(a.Services) == 0 {
		return nil
	}
	places := []string{a.Container.externals(), workerProgram(), work}
	for _, place := range places {
		if !filepath.IsAbs(place) {
			continue
		}
		if names := workerlog.Services(filepath.Join(filepath.Dir(place), "_diag"), len(a.Services)); names != nil {
			return names
		}
	}
	return nil
}

// workerProgram is the directory of the worker that started this hook.
func workerProgram() string { return programOf(strconv.Itoa(os.Getppid())) }

// programOf is the directory of the program of a process; "" where that is not known.
func programOf(pid string) string {
	path, err := os.Readlink(filepath.Join("/proc", filepath.Base(pid), "exe"))
	if err != nil {
		return ""
	}
	return filepath.Dir(path)
}

// workFolder is the runner's: RUNNER_WORKSPACE is the directory in it that has
// the name of the repository, and GITHUB_WORKSPACE, the checkout, is below that.
func workFolder() (string, error) {
	workspace := cmp.Or(os.Getenv("RUNNER_WORKSPACE"), filepath.Dir(os.Getenv("GITHUB_WORKSPACE")))
	if !filepath.IsAbs(workspace) || filepath.Dir(workspace) == "/" {
		return "", failure.New(failure.BadRequest, "the runner's work folder is unknown: RUNNER_WORKSPACE is %q; the runner sets it", workspace)
	}
	return filepath.Dir(filepath.Clean(workspace)), nil
}
