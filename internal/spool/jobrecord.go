package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// JobRecord is what the job of this runner has in the cluster, or is about to have
// there. A runner has one job at a time.
type JobRecord struct {
	// Request is the id of the request that asked for the job.
	Request string `json:"request"`
	// Ready says that the job was prepared: its objects outlive the request.
	Ready bool `json:"ready,omitempty"`
	// JobPod is the name of the job container's pod; empty while there is none.
	JobPod string `json:"job_pod,omitempty"`
	// Pods and Secrets are the job's own.
	Pods    []Kept `json:"pods,omitempty"`
	Secrets []Kept `json:"secrets,omitempty"`
}

// Kept is one object of a job.
type Kept struct {
	// Name is the object's, which the daemon made up.
	Name string `json:"name"`
	// UID tells the object from another of its name; empty until it is known to be
	// there.
	UID string `json:"uid,omitempty"`
}

// fileJob has the record of the job, beside the directories of the requests.
const fileJob = "job.json"

// NoteJob remembers what the job has made, and what it makes next: it is called
// before. It replaces what was noted.
func (s *State) NoteJob(record JobRecord) error {
	data, err := json.Marshal(record)
	if err == nil {
		err = replaceFile(filepath.Join(s.path, fileJob), data)
	}
	if err != nil {
		return fmt.Errorf("remember the job: %w", err)
	}
	return nil
}

// NotedJob returns what was noted of the job; nothing is no error.
func (s *State) NotedJob() (record JobRecord, noted bool, err error) {
	data, err := os.ReadFile(filepath.Join(s.path, fileJob))
	if errors.Is(err, fs.ErrNotExist) {
		return JobRecord{}, false, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &record)
	}
	if err != nil {
		return JobRecord{}, false, fmt.Errorf("read what is remembered of the job: %w", err)
	}
	return record, true, nil
}

// ForgetJob removes what is noted of the job.
func (s *State) ForgetJob() error {
	if err := os.Remove(filepath.Join(s.path, fileJob)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget the job: %w", err)
	}
	return nil
}
