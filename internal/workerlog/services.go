// Package workerlog reads the names of a job's services, and which actions it uses, from
// the diagnostic log of the runner's worker, the only place in the runner container that
// has them: the message to a container hook does not (actions/runner#2783).
//
// The worker writes the job as it got it from GitHub, as indented JSON below
// the line "Job message:" (actions/runner, Worker.cs), with secrets masked. The
// log is the runner's, not the job's, but no interface: whatever is missing or
// odd in it means that nothing is known, and never an error. Only regular
// files are read, and of those a bounded part.
package workerlog

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// What is looked at: the job's message stands near the beginning of its
// worker's log, which may have several pages.
const (
	maxFiles = 8
	maxNames = 10_000
	maxBytes = 16 << 20
)

// Services returns the names of count services in the order of the workflow,
// from the newest log in dir that has a job's message. It is nil where there
// are not that many.
func Services(dir string, count int) []string {
	names := services(newestMessage(dir))
	if len(names) != count {
		return nil
	}
	return names
}

// newestMessage is what follows the announcement of a job's message in the newest log
// that has one.
func newestMessage(dir string) []byte {
	for _, name := range newest(dir) {
		text, err := read(filepath.Join(dir, name))
		if err != nil {
			continue
		}
		if message, found := lastMessage(text); found {
			return message
		}
	}
	return nil
}

// newest lists the logs of workers, the newest first: their names have the time.
func newest(dir string) []string {
	file, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer file.Close()
	all, _ := file.Readdirnames(maxNames) // what cannot be read has none
	logs := slices.DeleteFunc(all, func(name string) bool {
		return !strings.HasPrefix(name, "Worker_") || !strings.HasSuffix(name, ".log")
	})
	slices.Sort(logs)
	slices.Reverse(logs)
	return logs[:min(len(logs), maxFiles)]
}

// read reads the beginning of a regular file.
func read(path string) ([]byte, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("it is no file")}
	}
	return io.ReadAll(io.LimitReader(file, maxBytes))
}

// lastMessage is what follows the last line that announces a job's message. The same
// words in a string of a message, such as a title that somebody chose, end no line.
func lastMessage(log []byte) ([]byte, bool) {
	const marker = "] Job message:\n"
	at := bytes.LastIndex(log, []byte(marker))
	if at < 0 {
		return nil, false
	}
	return log[at+len(marker):], true
}

// A token is one of the runner's template tokens: a string or another literal, a
// list, a mapping, an expression (actions/runner, TemplateTokenJsonConverter.cs).
// What it holds is read when it is asked for, so that depth costs nothing.
type token struct {
	Type    int     `json:"type"`
	Literal *string `json:"lit"`
	Map     []entry `json:"map"`
}

// An entry is one of a mapping.
type entry struct {
	Key   json.RawMessage `json:"key"`
	Value json.RawMessage `json:"value"`
}

// Types of tokens.
const (
	typeString = 0
	typeMap    = 2
	typeOther  = -1 // whatever is not asked for
)

// parse reads a token. The runner writes some literals bare.
func parse(data json.RawMessage) token {
	switch data = bytes.TrimSpace(data); {
	case len(data) > 0 && data[0] == '"':
		var text string
		if json.Unmarshal(data, &text) == nil {
			return token{Literal: &text}
		}
	case len(data) > 0 && data[0] == '{':
		var t token
		if json.Unmarshal(data, &t) == nil {
			return t
		}
	}
	return token{Type: typeOther}
}

// text is the token's text, if it is a literal string.
func (t token) text() (string, bool) {
	if t.Type != typeString || t.Literal == nil {
		return "", false
	}
	return *t.Literal, true
}

// services lists the keys of the services in a message, but for those that the
// runner does not start: whose image is empty. What is no message has none.
func services(message []byte) []string {
	var job struct {
		JobServiceContainers json.RawMessage `json:"jobServiceContainers"`
	}
	if json.NewDecoder(bytes.NewReader(message)).Decode(&job) != nil {
		return nil
	}
	all := parse(job.JobServiceContainers)
	if all.Type != typeMap {
		return nil
	}
	var names []string
	for _, e := range all.Map {
		name, ok := parse(e.Key).text()
		if !ok {
			return nil
		}
		if !empty(parse(e.Value)) {
			names = append(names, name)
		}
	}
	return names
}

// empty tells a service whose image is written as nothing.
func empty(service token) bool {
	if image, ok := service.text(); ok {
		return image == ""
	}
	for _, e := range service.Map {
		if key, _ := parse(e.Key).text(); strings.EqualFold(key, "image") {
			image, ok := parse(e.Value).text()
			return ok && image == ""
		}
	}
	return false
}
