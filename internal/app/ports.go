package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.uber.org/zap"

	"kiln/internal/forwarder"
	"kiln/internal/servicerun"
	"kiln/internal/spool"
	"kiln/internal/supervisor"
)

// forwarderProgram is what forwards ports, beside the daemon's own program.
const forwarderProgram = "kiln-sidecar"

// newPorts makes what lets ports of this pod lead to services: a process that outlives
// this one, or nil, this one itself, where its program is not there.
func newPorts(state *spool.State, log *zap.Logger) (servicerun.Ports, error) {
	own, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the program that forwards ports: %w", err)
	}
	program := filepath.Join(filepath.Dir(own), forwarderProgram)
	if _, err := os.Stat(program); errors.Is(err, os.ErrNotExist) {
		log.Warn("connections to services will end with the worker: there is no program "+forwarderProgram+" beside kilnd", zap.String("program", program))
		return nil, nil //nolint:nilnil // see above
	}
	lifeline, err := supervisor.Lifeline()
	if err != nil {
		return nil, err
	}
	return forwarder.New(forwarder.Options{Program: program, Socket: state.Socket(), Lifeline: lifeline, Log: log.Named("ports")})
}
