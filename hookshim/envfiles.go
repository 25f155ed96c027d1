package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"kiln/internal/createoptions"
)

// Limits of what options of a job may have read in the runner container.
const (
	maxEnvFiles     = 64
	maxEnvFileBytes = 256 << 10
)

// outside reads what options take from the runner container: files of variables,
// and variables that are named without a value. What is not there is left out,
// and the daemon says so as Docker does.
func (a jobArgs) outside() createoptions.Outside {
	found := createoptions.Outside{Files: map[string]string{}, Env: map[string]string{}}
	for _, c := range a.all() {
		files, variables := createoptions.Outer(c.CreateOptions)
		for _, path := range files {
			if text, err := readEnvFile(path); err == nil && len(found.Files) < maxEnvFiles {
				found.Files[path] = text
				variables = append(variables, bare(text)...)
			}
		}
		for _, name := range variables {
			if value, set := os.LookupEnv(name); set {
				found.Env[name] = value
			}
		}
	}
	return found
}

// readEnvFile reads a file as Docker would, from the checkout on.
func readEnvFile(path string) (string, error) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(os.Getenv("GITHUB_WORKSPACE"), path)
	}
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer file.Close()
	info, err := file.Stat()
	if err == nil && (!info.Mode().IsRegular() || info.Size() > maxEnvFileBytes) {
		err = errors.New("it is no file, or a large one")
	}
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(file, maxEnvFileBytes))
	return string(text), err
}

// bare lists the variables that a file of variables names without a value.
func bare(text string) []string {
	var names []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line != "" && line[0] != '#' && !strings.Contains(line, "=") {
			names = append(names, line)
		}
	}
	return names
}
