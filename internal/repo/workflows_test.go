package repo_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// workflow is a GitHub workflow as far as the rules go.
type workflow struct {
	Permissions map[string]string `json:"permissions"`
	Jobs        map[string]struct {
		Uses           string            `json:"uses"`
		Permissions    map[string]string `json:"permissions"`
		TimeoutMinutes int               `json:"timeout-minutes"`
		Steps          []struct {
			Uses string         `json:"uses"`
			With map[string]any `json:"with"`
			Run  string         `json:"run"`
		} `json:"steps"`
	} `json:"jobs"`
}

// workflows returns text and content of each workflow by its file's name.
func workflows(t *testing.T) (texts map[string]string, parsed map[string]workflow) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, ".github", "workflows", "*.yml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no workflows: %v", err)
	}
	texts, parsed = map[string]string{}, map[string]workflow{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var w workflow
		if err := yaml.Unmarshal(data, &w); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		texts[filepath.Base(file)], parsed[filepath.Base(file)] = string(data), w
	}
	return texts, parsed
}

// TestWorkflowActions wants every action pinned to a full commit, with the version that
// it is for a reader: a tag can be moved.
func TestWorkflowActions(t *testing.T) {
	line := regexp.MustCompile(`(?m)^\s*(?:- )?uses: (.*)$`)
	pinned := regexp.MustCompile(`^[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)
	texts, _ := workflows(t)
	commits := map[string]string{}
	for file, text := range texts {
		for _, match := range line.FindAllStringSubmatch(text, -1) {
			if strings.HasPrefix(match[1], "./") {
				continue
			}
			if !pinned.MatchString(match[1]) {
				t.Errorf("%s: uses %s, which is not pinned as owner/name@commit # v1.2.3", file, match[1])
			}
			name, commit, _ := strings.Cut(match[1], "@")
			if other := commits[name]; other != "" && other != commit {
				t.Errorf("%s: uses %s at two commits", file, name)
			}
			commits[name] = commit
		}
	}
}

// TestWorkflowRights wants read access alone but in the job that publishes, no token
// left in the work tree, an end to every job, and no expression inside a script, where
// it would be code.
func TestWorkflowRights(t *testing.T) {
	_, parsed := workflows(t)
	read := map[string]string{"contents": "read"}
	for file, w := range parsed {
		if !maps.Equal(w.Permissions, read) {
			t.Errorf("%s: permissions are %v, want %v", file, w.Permissions, read)
		}
		for name, job := range w.Jobs {
			publishes := file == "release.yml" && name == "release"
			if job.Permissions != nil && !publishes && !maps.Equal(job.Permissions, read) {
				t.Errorf("%s: job %s has permissions %v", file, name, job.Permissions)
			}
			if job.Uses == "" && job.TimeoutMinutes == 0 {
				t.Errorf("%s: job %s has no timeout", file, name)
			}
			for _, step := range job.Steps {
				if strings.HasPrefix(step.Uses, "actions/checkout@") && step.With["persist-credentials"] != false {
					t.Errorf("%s: job %s leaves its token in the work tree", file, name)
				}
				if strings.Contains(strings.ReplaceAll(step.Run, "{{ json .SBOM }}", ""), "{{") {
					t.Errorf("%s: job %s has an expression in a script: %s", file, name, step.Run)
				}
			}
		}
	}
}
