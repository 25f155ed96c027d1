package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
)

// ServicesRecord is what the daemon knows of the services of this runner's job.
type ServicesRecord struct {
	// Services are the job's, in the order of the workflow.
	Services []KeptService `json:"services,omitempty"`
	// Ports of this pod lead to services.
	Ports []KeptPort `json:"ports,omitempty"`
	// Warned is what the author was told of ports that were lost.
	Warned string `json:"warned,omitempty"`
}

// KeptService is a service of a job.
type KeptService struct {
	// Title is what the author knows it by.
	Title string `json:"title"`
	// Pod and Container are where it runs.
	Pod       string `json:"pod"`
	Container string `json:"container"`
	// IP is the address of its pod, and Hosts are the names by which it is found; both
	// are empty until it is ready.
	IP    string   `json:"ip,omitempty"`
	Hosts []string `json:"hosts,omitempty"`
	// Told says that its log has been shown.
	Told bool `json:"told,omitempty"`
}

// KeptPort is a port of this pod that leads to a service.
type KeptPort struct {
	Service  string         `json:"service"`
	Protocol string         `json:"protocol"`
	Host     uint16         `json:"host"`
	Target   netip.AddrPort `json:"target"`
}

// fileServices has the record of services, beside the directories of the requests.
const fileServices = "services.json"

// NoteServices remembers the services of the job. It replaces what was noted.
func (s *State) NoteServices(record ServicesRecord) error {
	data, err := json.Marshal(record)
	if err == nil {
		err = replaceFile(filepath.Join(s.path, fileServices), data)
	}
	if err != nil {
		return fmt.Errorf("remember the services: %w", err)
	}
	return nil
}

// NotedServices returns what was noted of services; nothing is no error.
func (s *State) NotedServices() (record ServicesRecord, err error) {
	data, err := os.ReadFile(filepath.Join(s.path, fileServices))
	if errors.Is(err, fs.ErrNotExist) {
		return ServicesRecord{}, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &record)
	}
	if err != nil {
		return ServicesRecord{}, fmt.Errorf("read what is remembered of services: %w", err)
	}
	return record, nil
}

// ForgetServices removes what is noted of services.
func (s *State) ForgetServices() error {
	if err := os.Remove(filepath.Join(s.path, fileServices)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget the services: %w", err)
	}
	return nil
}

// Socket is the path of the socket of what forwards the ports of services.
func (s *State) Socket() string { return filepath.Join(s.path, "ports.sock") }
