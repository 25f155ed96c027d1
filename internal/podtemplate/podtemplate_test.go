package podtemplate_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"kiln/internal/podtemplate"
)

// template is a pod template without a name for its version.
type template struct {
	Spec corev1.PodSpec    `json:"spec"`
	More map[string]string `json:"more"`
}

// TestText tries what stands where Kubernetes wants text, as a value and as a
// key. js-yaml 4.1.0, 5.0.0 and 5.5.0 (npm) were run with each: same says that
// all give the text as it is written, both as value and key.
func TestText(t *testing.T) {
	for text, want := range map[string]struct{ value, key bool }{
		"yes": {true, true}, "no": {true, true}, "on": {true, true}, "off": {true, true},
		"Yes": {true, true}, "OFF": {true, true}, "N": {true, true}, "n": {true, true}, "y": {true, true}, "Y": {true, true},
		"1:20": {true, true}, "190:20:30": {true, true}, "=": {true, true}, "tRUE": {true, true}, "nULL": {true, true},
		"1.5.2": {true, true}, "0o8": {true, true}, "0xg": {true, true}, "1e": {true, true}, "_1": {true, true}, "v1": {true, true},
		"-": {false, false}, "1-2": {true, true}, "2024-01": {true, true}, "2024-01-01-rc": {true, true}, "1e3_": {true, true},
		"_.5": {true, true}, ".": {true, true}, "!!str 5": {true, true}, `"5"`: {true, true}, "'yes'": {true, true},
		// Numbers and truths, which the API refuses as text; as keys they are
		// what JavaScript writes for them.
		"5": {false, true}, "1.5": {false, true}, "true": {false, true}, "false": {false, true},
		"True": {false, false}, "0777": {false, false}, "0x1F": {false, false}, "0o17": {false, false}, "08": {false, false},
		".5": {false, false}, "1.0": {false, false}, "1e3": {false, false}, "+5": {false, false}, "-0": {false, false},
		"1_000": {false, false}, "0b11": {false, false}, "+.5": {false, false}, ".inf": {false, false}, ".NaN": {false, false},
		"1e400": {false, false}, "12345678901234567890": {false, false}, "2024-01-01": {false, false},
		"2024-1-1 1:02:03": {false, false}, "2024-01-01T00:00:00Z": {false, false},
		"~": {true, false}, "null": {true, true}, "Null": {true, false},
		"!!int 5": {false, false}, "!!binary aGk=": {false, false}, "!foo x": {false, false},
	} {
		t.Run(text, func(t *testing.T) {
			written := strings.Trim(strings.TrimPrefix(text, "!!str "), `"'`)
			value := written
			if written == "~" || strings.EqualFold(written, "null") && written != "nULL" {
				value = "" // JSON's null, which the API takes for no text
			}
			try(t, "more:\n  a: "+text, map[string]string{"a": value}, want.value)
			try(t, "more:\n  ? "+text+"\n  : b", map[string]string{written: "b"}, want.key)
		})
	}
}

// try decodes a template that is good, or is refused for its second line.
func try(t *testing.T, text string, want map[string]string, good bool) {
	t.Helper()
	var got template
	_, err := podtemplate.Decode([]byte(text), &got)
	switch {
	case good && err != nil:
		t.Errorf("%q: %v", text, err)
	case good:
		if diff := cmp.Diff(want, got.More); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	case err == nil:
		t.Errorf("%q = %v, want an error", text, got.More)
	case !strings.Contains(err.Error(), "line 2"):
		t.Errorf("%q: error = %v, want the line", text, err)
	}
}

// TestDocuments compares whole documents with what js-yaml 4.1.0 makes of them.
func TestDocuments(t *testing.T) {
	for text, want := range map[string]string{
		"{more: {x: &a 'yes', y: *a}}":          `{"more":{"x":"yes","y":"yes"}}`,
		"more: {<<: {a: x}, b: y}":              `{"more":{"a":"x","b":"y"}}`,
		"more: {a: own, <<: {a: x}}":            `{"more":{"a":"own"}}`,
		"more: {<<: [{a: first}, {a: second}]}": `{"more":{"a":"first"}}`,
		"more: {<<: {a: x}, <<: {a: y, b: z}}":  `{"more":{"a":"x","b":"z"}}`,
		"more: {<<: {a: x, <<: {c: z}}}":        `{"more":{"a":"x","c":"z"}}`,
		"more: {\"=\": x}":                      `{"more":{"=":"x"}}`,
		"---\nmore: {a: b}\n...\n":              `{"more":{"a":"b"}}`,
		"":                                      `{}`,
		"# nothing":                             `{}`,
		"%YAML 1.1\n---\nmore: {a: yes}":        `{"more":{"a":"yes"}}`,
		"more: {a: 'x\n  y'}":                   `{"more":{"a":"x y"}}`,
		"more: {a: b,}":                         `{"more":{"a":"b"}}`,
		"spec: {hostUsers: False, priority: 0x10, runtimeClassName: ~}":    `{"spec":{"hostUsers":false,"priority":16,"runtimeClassName":null}}`,
		"spec: {priority: 1e3, terminationGracePeriodSeconds: 0o17}":       `{"spec":{"priority":1000,"terminationGracePeriodSeconds":15}}`,
		"spec: {overhead: {cpu: .5, memory: 1Gi, x.example.com/y: 2}}":     `{"spec":{"overhead":{"cpu":0.5,"memory":"1Gi","x.example.com/y":2}}}`,
		"spec: {tolerations: [{key: on, value: no, operator: Equal}]}":     `{"spec":{"tolerations":[{"key":"on","operator":"Equal","value":"no"}]}}`,
		"spec: {containers: [{name: N, args: [off, y], ports: &p []}]}":    `{"spec":{"containers":[{"args":["off","y"],"name":"N","ports":[]}]}}`,
		"spec: {containers: [{name: a, env: [{name: A, value: 1:20}]}]}":   `{"spec":{"containers":[{"env":[{"name":"A","value":"1:20"}],"name":"a"}]}}`,
		"spec: {volumes: [{name: a, configMap: {defaultMode: 0o644}}]}":    `{"spec":{"volumes":[{"configMap":{"defaultMode":420},"name":"a"}]}}`,
		"spec: {nodeSelector: {gpu: on, n: N, on: off, 8080: yes}}":        `{"spec":{"nodeSelector":{"8080":"yes","gpu":"on","n":"N","on":"off"}}}`,
		"spec: {securityContext: {sysctls: [{name: a.b, value: \"0\"}] }}": `{"spec":{"securityContext":{"sysctls":[{"name":"a.b","value":"0"}]}}}`,
	} {
		document, err := podtemplate.Decode([]byte(text), new(template))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		got, err := json.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

func TestRefused(t *testing.T) {
	bomb := "a0: &a0 {a: x}\n"
	for i := range 20 {
		bomb += fmt.Sprintf("a%d: &a%d {<<: [*a%d, *a%d, *a%d]}\n", i+1, i+1, i, i, i)
	}
	bomb += "more: *a20\n"
	for text, want := range map[string]string{
		"more:\n  a: 0777":                  `line 2: more.a: is 0777, which not every reader of YAML takes for text: write it in quotes, as "0777"`,
		"more:\n  a: 42":                    `line 2: more.a: is 42, which is a number: write it in quotes, as "42"`,
		"more:\n  a: true":                  `line 2: more.a: is true, which is true or false: write it in quotes, as "true"`,
		"more:\n  0777: a":                  `line 2: more: the key 0777 is not read as text: write it in quotes, as "0777"`,
		"more: {a: b}\n---\nspec: {}":       "line 2: a second document begins",
		"more: {a: b}\n---\n":               "a second document begins",
		"more:\n  a: x\n  a: y":             "line 3: more.a: the key is given twice",
		"more:\n  1: x\n  '1': y":           "line 3: more.1: the key is given twice",
		"more:\n  <<: 5":                    "line 2: more: << is followed by something that is no object",
		"more:\n  <<: [{a: b}, x]":          "line 2: more: << is followed by something that is no object",
		"more: &a {<<: *a}":                 "merges itself",
		"more:\n  a: &a {b: *a}":            `line 2: more.a: is an object: write text`,
		"more:\n  [a]: b":                   "line 2: more: a key is a list or an object",
		"spec:\n  hostUsers: no":            `line 2: spec.hostUsers: is "no": write true or false`,
		"spec:\n  priority: 0100":           "line 2: spec.priority: is 0100, which readers of YAML take for different values: write it as a decimal number",
		"spec:\n  priority: 1:20":           `line 2: spec.priority: is "1:20": write a whole decimal number`,
		"spec:\n  priority: 1.5":            `line 2: spec.priority: is "1.5": write a whole decimal number`,
		"spec:\n  nodeselector: {}":         "line 2: spec.nodeselector: is no field of a template here",
		"spec:\n  containers:\n  - ~":       "line 3: spec.containers[0]: is empty: write an object",
		"spec:\n  containers: yes":          `line 2: spec.containers: is "yes": write a list`,
		"spec:\n  overhead:\n    cpu: lots": `line 3: spec.overhead.cpu: is "lots": write a quantity`,
		"- a":                               "line 1: is a list: write an object",
		"text":                              `line 1: is "text": write an object`,
		bomb:                                "more than 100000 values",
	} {
		_, err := podtemplate.Decode([]byte(text), new(template))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: error = %v, want %q", text, err, want)
		}
	}
}

// TestAllFaults finds that every line with a fault is named at once.
func TestAllFaults(t *testing.T) {
	_, err := podtemplate.Decode([]byte("more:\n  a: 1\n  b: x\n  0777: c\nspec:\n  x: y\n"), new(template))
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("error = %v, want three", err)
	}
}
