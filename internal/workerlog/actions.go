package workerlog

import (
	"bytes"
	"encoding/json"
	"strings"
)

// Action is an action of a repository that a step uses.
type Action struct {
	// Repository is owner/name, Path the action's directory in it, and Ref a branch, a
	// tag or a commit.
	Repository, Path, Ref string
}

// Actions returns the actions of other repositories that the steps of a job use, in the
// order of the workflow, from the newest log in dir that has a job's message. Without one
// it is nil; a job that uses none has an empty list.
func Actions(dir string) []Action {
	var job struct {
		Steps []struct {
			Reference struct {
				Name, Path, Ref, RepositoryType string
			} `json:"reference"`
		} `json:"steps"`
	}
	if json.NewDecoder(bytes.NewReader(newestMessage(dir))).Decode(&job) != nil {
		return nil
	}
	actions := []Action{}
	for _, step := range job.Steps {
		// An action of the checkout is of the type "self" and has no name.
		if r := step.Reference; r.Name != "" && r.Ref != "" && !strings.EqualFold(r.RepositoryType, "self") {
			actions = append(actions, Action{Repository: r.Name, Path: r.Path, Ref: r.Ref})
		}
	}
	return actions
}
