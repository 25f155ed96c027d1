package service

import (
	"kiln/internal/createoptions"
	"kiln/internal/hook"
)

// Service is a service of a job as the workflow has it.
type Service struct {
	// ID is its key in the workflow; empty where that is not known.
	ID string
	// Container is as the runner sent it, and Options what its options say.
	Container hook.Container
	Options   createoptions.Options
	// Image is what the image's configuration says; nil where nobody could read it.
	Image *Image
}

// Image is what an image's configuration says of a service.
type Image struct {
	// Ports are those that it exposes.
	Ports []Port
	// Variables are the names of those that it sets.
	Variables []string
	// Health is its health check; nil for none.
	Health *ImageHealth
	// Shell runs a command of a health check; empty means /bin/sh -c.
	Shell []string
}
