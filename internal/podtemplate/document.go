package podtemplate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxNodes is how many values a template may have, aliases followed.
const maxNodes = 100_000

// Decode reads the one document of data into the struct that into points to,
// by the names in its json tags, and returns the document as JSON has it, its
// integers as int64. A document without content sets nothing. Errors name the
// line, the place and what to write; all that are found are joined.
func Decode(data []byte, into any) (map[string]any, error) {
	node, err := parse(data)
	if err != nil || node == nil {
		return map[string]any{}, err
	}
	r := &reader{}
	document, ok := r.read(node, reflect.TypeOf(into).Elem(), "").(map[string]any)
	if err := errors.Join(r.errs...); err != nil {
		return nil, err
	}
	if !ok {
		return map[string]any{}, nil
	}
	text, err := json.Marshal(document)
	if err != nil {
		return nil, fmt.Errorf("write the template as JSON: %w", err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return nil, fmt.Errorf("read the template: %w", err)
	}
	return document, nil
}

// parse returns the root of the one document, or nil if there is none.
func parse(data []byte) (*yaml.Node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var first, second yaml.Node
	switch err := decoder.Decode(&first); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, err
	}
	switch err := decoder.Decode(&second); {
	case errors.Is(err, io.EOF):
		return first.Content[0], nil
	case err != nil:
		return nil, err
	}
	return nil, fmt.Errorf("line %d: a second document begins: leave one, without a --- after it", second.Line)
}

// A reader turns nodes into values and notes what is wrong with them.
type reader struct {
	nodes int
	errs  []error
}

// fault notes what is wrong with the value at path.
func (r *reader) fault(node *yaml.Node, path, format string, args ...any) {
	place := ""
	if path != "" {
		place = strings.TrimPrefix(path, ".") + ": "
	}
	r.errs = append(r.errs, fmt.Errorf("line %d: %s%w", node.Line, place, fmt.Errorf(format, args...)))
}

// read returns the value of node, which is to have type want.
func (r *reader) read(node *yaml.Node, want reflect.Type, path string) any {
	node = resolve(node)
	if r.nodes++; r.nodes > maxNodes {
		if r.nodes == maxNodes+1 {
			r.fault(node, path, "more than %d values, aliases followed: write fewer", maxNodes)
		}
		return nil
	}
	if !r.tagged(node, path) {
		return nil
	}
	for want.Kind() == reflect.Pointer {
		want = want.Elem()
	}
	switch node.Kind {
	case yaml.MappingNode:
		return r.object(node, want, path)
	case yaml.SequenceNode:
		return r.list(node, want, path)
	default:
		return r.scalar(node, want, path)
	}
}

// tagged notes a tag that is not one of plain text, lists and objects.
func (r *reader) tagged(node *yaml.Node, path string) bool {
	if node.Style&yaml.TaggedStyle == 0 || slices.Contains([]string{"!", "!!str", "!!seq", "!!map"}, node.Tag) {
		return true
	}
	r.fault(node, path, "the tag %s: write the value without it", node.Tag)
	return false
}

// list reads the entries of a list.
func (r *reader) list(node *yaml.Node, want reflect.Type, path string) any {
	if want.Kind() != reflect.Slice || own(want) || want.Elem().Kind() == reflect.Uint8 {
		r.fault(node, path, "is a list: write %s", expected(want))
		return nil
	}
	list := make([]any, 0, len(node.Content))
	for i, entry := range node.Content {
		at := fmt.Sprintf("%s[%d]", path, i)
		if entry := resolve(entry); entry.Kind == yaml.ScalarNode {
			if _, kind := scalar(entry); kind == kindNull {
				r.fault(entry, at, "is empty: write %s", expected(want.Elem()))
				continue
			}
		}
		list = append(list, r.read(entry, want.Elem(), at))
	}
	return list
}

// object reads the keys and values of an object.
func (r *reader) object(node *yaml.Node, want reflect.Type, path string) any {
	if (want.Kind() != reflect.Struct && want.Kind() != reflect.Map) || own(want) {
		r.fault(node, path, "is an object: write %s", expected(want))
		return nil
	}
	object := map[string]any{}
	for _, entry := range r.entries(node, path, nil) {
		at := path + "." + entry.name
		field := fieldType(want, entry.name)
		if field == nil {
			r.fault(entry.key, at, "is no field of a template here: take it out, or mend its name")
			continue
		}
		value := r.read(entry.value, field, at)
		if value == nil && want.Kind() == reflect.Map && field.Kind() == reflect.String {
			value = ""
		}
		object[entry.name] = value
	}
	return object
}
