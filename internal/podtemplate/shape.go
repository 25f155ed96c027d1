package podtemplate

import (
	"encoding/json"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// scalar reads a value that is neither a list nor an object.
func (r *reader) scalar(node *yaml.Node, want reflect.Type, path string) any {
	value, kind := scalar(node)
	switch {
	case kind == kindOther && wantsText(want):
		r.fault(node, path, "is %s, which not every reader of YAML takes for text: write it in quotes, as %q", node.Value, node.Value)
		return nil
	case kind == kindOther:
		r.fault(node, path, "is %s, which readers of YAML take for different values: write it as a decimal number without zeros before it, or in quotes", node.Value)
		return nil
	case kind == kindNull || want.Kind() == reflect.Interface:
		return value
	case wantsText(want) && kind != kindText:
		r.fault(node, path, "is %s, which is %s: write it in quotes, as %q", node.Value, kind, node.Value)
		return nil
	case fits(value, want):
		return value
	}
	r.fault(node, path, "is %q: write %s", node.Value, expected(want))
	return nil
}

// fits reports whether JSON's value can be read into a type.
func fits(value any, want reflect.Type) bool {
	text, err := json.Marshal(value)
	return err == nil && json.Unmarshal(text, reflect.New(want).Interface()) == nil
}

// wantsText reports whether a type is text and nothing else.
func wantsText(want reflect.Type) bool {
	return want.Kind() == reflect.String || (want.Kind() == reflect.Slice && want.Elem().Kind() == reflect.Uint8)
}

// own reports whether a type reads JSON in its own way, as quantities do.
func own(want reflect.Type) bool {
	return reflect.PointerTo(want).Implements(reflect.TypeFor[json.Unmarshaler]())
}

// fieldType returns the type of what an object has under a key; nil for a
// struct that has nothing there.
func fieldType(object reflect.Type, name string) reflect.Type {
	if object.Kind() == reflect.Map {
		return object.Elem()
	}
	for field := range object.Fields() {
		key, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case key == name && key != "":
			return field.Type
		case key == "" && (field.Anonymous || strings.Contains(options, "inline")) && field.Type.Kind() == reflect.Struct:
			if found := fieldType(field.Type, name); found != nil {
				return found
			}
		}
	}
	return nil
}

// expected tells an operator what a type is.
func expected(want reflect.Type) string {
	for want.Kind() == reflect.Pointer {
		want = want.Elem()
	}
	switch {
	case want == reflect.TypeFor[resource.Quantity]():
		return "a quantity, such as 500m or 1Gi"
	case want == reflect.TypeFor[intstr.IntOrString]():
		return "a whole decimal number, or text in quotes"
	case own(want):
		return "a " + strings.ToLower(want.Name())
	case wantsText(want):
		return "text, in quotes where it looks like something else"
	}
	switch want.Kind() {
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Slice:
		return "a list"
	case reflect.Bool:
		return "true or false"
	default:
		return "a whole decimal number"
	}
}
