package compare

import (
	"encoding/json"
	"maps"
	"path"
	"strings"
)

// ownLabels begins the labels that kiln adds to its images.
const ownLabels = "kiln.build/"

func configurations(docker, kiln Image) []Difference {
	a, b := fields(docker), fields(kiln)
	var all []Difference
	for i := range a {
		if a[i].value != b[i].value {
			all = append(all, Difference{Where: "config", Attribute: a[i].name, Docker: a[i].value, Kiln: b[i].value})
		}
	}
	return all
}

// fields lists what is compared of a configuration, always in this order.
func fields(img Image) []attribute {
	c := img.Config
	return []attribute{
		{"Platform", img.Platform},
		{"Env", encode(c.Env)},
		{"Entrypoint", encode(c.Entrypoint)},
		{"Cmd", encode(c.Cmd)},
		{"WorkingDir", workingDir(c.WorkingDir)},
		{"User", c.User},
		{"Labels", encode(labels(c.Labels))},
		{"ExposedPorts", encode(c.ExposedPorts)},
		{"Volumes", encode(c.Volumes)},
		{"Healthcheck", encode(img.Healthcheck)},
		{"StopSignal", c.StopSignal},
		{"Shell", encode(c.Shell)},
		{"OnBuild", encode(c.OnBuild)},
	}
}

// encode writes a value in one way: null, [] and {} are all nothing.
func encode(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	switch string(text) {
	case "null", "[]", "{}":
		return ""
	}
	return string(text)
}

func workingDir(dir string) string {
	if dir == "" {
		return "/"
	}
	return path.Clean(dir)
}

func labels(all map[string]string) map[string]string {
	kept := maps.Clone(all)
	maps.DeleteFunc(kept, func(name, _ string) bool { return strings.HasPrefix(name, ownLabels) })
	return kept
}
