package repo_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"kiln/internal/config"
	"kiln/internal/golden"
	"kiln/internal/scaleset"
)

// chart is the directory of the chart.
var chart = filepath.Join(root, "charts", "kiln")

// chartFile returns the text of a file of the chart.
func chartFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(chart, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestChartOverlay holds the chart's overlays to those of kilnd render-values.
func TestChartOverlay(t *testing.T) {
	golden.File(t, filepath.Join(chart, "templates", "_overlay.tpl"), scaleset.Text())
}

// fixed are the settings that the chart's other values or the overlay set. The schema
// lets them pass, so that the chart can say where they belong.
var fixed = []string{
	"ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_HOST",
	"ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_HOST_PUSH",
	"ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_HOST_PULL",
	"ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_SECRET_NAME",
	"ACTIONS_RUNNER_CONTAINER_HOOK_TEMPLATE",
	"KILN_BUILD_TEMPLATE",
	"KILN_CA_CONFIGMAP",
	"KILN_CA_FILE",
	"KILN_DOCKER_CONFIG",
	"KILN_EXCHANGE",
	"KILN_LISTEN",
	"KILN_STATE",
	"KILN_METRICS_LISTEN",
	"KILN_NAMESPACE",
	"KILN_POD_NAME",
	"KILN_PULL_DOCKER_CONFIG",
	"KILN_PULL_SECRET_NAME",
}

// proxies are variables that are no settings of kiln, and that the chart's value proxy
// sets.
var proxies = []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"}

// TestChartSchema gives the schema of `settings` every setting of the daemon by name, so
// that Helm refuses a mistyped one.
func TestChartSchema(t *testing.T) {
	var schema map[string]any
	if err := json.Unmarshal([]byte(chartFile(t, "values.schema.json")), &schema); err != nil {
		t.Fatal(err)
	}
	settings := map[string]any{"KILN_LOG_LEVEL": map[string]any{"type": "string", "description": "debug, info, warn or error."}}
	for _, name := range slices.Concat(fixed, proxies) {
		settings[name] = map[string]any{"description": "Refused: the chart or the overlay sets it."}
	}
	for field := range reflect.TypeFor[config.Settings]().Fields() {
		name := field.Tag.Get("env")
		if name != "" && !slices.Contains(fixed, name) {
			settings[name] = map[string]any{"type": []string{"string", "integer", "boolean"}, "description": field.Tag.Get("help")}
		}
	}
	schema["properties"].(map[string]any)["settings"].(map[string]any)["properties"] = settings
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(schema); err != nil {
		t.Fatal(err)
	}
	golden.File(t, filepath.Join(chart, "values.schema.json"), out.String())
}

// TestChartSaysWhere wants the chart to say of each variable that `settings` does not
// take where it belongs.
func TestChartSaysWhere(t *testing.T) {
	_, text, _ := strings.Cut(chartFile(t, "templates/_validate.tpl"), `{{- define "kiln.faults.settings" -}}`)
	text, _, _ = strings.Cut(text, "\n{{- define ")
	for _, name := range slices.Concat(fixed, proxies) {
		if !strings.Contains(text, strconv.Quote(name)) {
			t.Errorf("templates/_validate.tpl says nothing of settings.%s", name)
		}
	}
}

// TestChartSchemaCovers wants a description in the schema for every value, and none of
// its objects open to keys that nothing reads.
func TestChartSchemaCovers(t *testing.T) {
	var schema, values map[string]any
	if err := json.Unmarshal([]byte(chartFile(t, "values.schema.json")), &schema); err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict([]byte(chartFile(t, "values.yaml")), &values); err != nil {
		t.Fatal(err)
	}
	free := []string{"buildTemplate", "hookTemplate"} // pod templates, which the daemon checks
	var compare func(path string, schema, values map[string]any)
	compare = func(path string, schema, values map[string]any) {
		if schema["additionalProperties"] != false {
			t.Errorf("values.schema.json: %q takes any key", path)
		}
		properties, _ := schema["properties"].(map[string]any)
		for key, value := range values {
			described, ok := properties[key].(map[string]any)
			if !ok {
				t.Errorf("values.schema.json does not know %s%s", path, key)
				continue
			}
			_, referenced := described["$ref"]
			if object, ok := value.(map[string]any); ok && !referenced && !slices.Contains(free, key) {
				compare(path+key+".", described, object)
			}
		}
	}
	compare("", schema, values)
}

// TestChartReadme writes the chart's table of values from the comments of values.yaml.
func TestChartReadme(t *testing.T) {
	golden.Block(t, filepath.Join(chart, "README.md"), "values", valuesTable(t))
}

// valuesTable renders each value that has a comment which begins with two dashes.
func valuesTable(t *testing.T) string {
	t.Helper()
	text := chartFile(t, "values.yaml")
	var values map[string]any
	if err := yaml.Unmarshal([]byte(text), &values); err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	table.WriteString("| value | default | what |\n|---|---|---|\n")
	key := regexp.MustCompile(`^( *)([a-zA-Z]+):`)
	var path, comment []string
	for line := range strings.Lines(text) {
		words, isComment := strings.CutPrefix(strings.TrimSpace(line), "#")
		match := key.FindStringSubmatch(line)
		switch {
		case isComment && strings.HasPrefix(words, " -- "):
			comment = []string{strings.TrimPrefix(words, " -- ")}
		case isComment && comment != nil:
			comment = append(comment, strings.TrimSpace(words))
		case match != nil && len(match[1])/2 <= len(path):
			path = append(path[:len(match[1])/2], match[2])
			if comment != nil {
				fmt.Fprintf(&table, "| `%s` | `%s` | %s |\n", strings.Join(path, "."), defaultOf(t, values, path), strings.Join(comment, " "))
			}
			comment = nil
		}
	}
	return table.String()
}

// defaultOf returns the value at a path as JSON.
func defaultOf(t *testing.T, values any, path []string) string {
	t.Helper()
	for _, key := range path {
		object, ok := values.(map[string]any)
		if !ok {
			t.Fatalf("values.yaml has no %s", strings.Join(path, "."))
		}
		values = object[key]
	}
	data, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestChartDefaults holds the defaults that the chart and kilnd render-values share.
func TestChartDefaults(t *testing.T) {
	var values struct {
		Runner  map[string]string `json:"runner"`
		Sidecar struct {
			Resources struct{ Requests, Limits map[string]string } `json:"resources"`
		} `json:"sidecar"`
	}
	if err := yaml.Unmarshal([]byte(chartFile(t, "values.yaml")), &values); err != nil {
		t.Fatal(err)
	}
	resources := values.Sidecar.Resources
	for _, same := range []struct{ want, got map[string]string }{
		{map[string]string{
			"image": scaleset.DefaultRunnerImage, "delegate": scaleset.DefaultDelegate, "handle": scaleset.HandleAll,
			"workSize": scaleset.DefaultWorkSize, "accessMode": scaleset.DefaultAccessMode, "storageClass": "",
		}, values.Runner},
		{map[string]string{"cpu": scaleset.DefaultCPURequest, "memory": scaleset.DefaultMemoryRequest}, resources.Requests},
		{map[string]string{"cpu": "", "memory": scaleset.DefaultMemoryLimit}, resources.Limits},
	} {
		if !maps.Equal(same.want, same.got) {
			t.Errorf("defaults differ (-render-values +chart):\n%s", cmp.Diff(same.want, same.got))
		}
	}
}
