package podtemplate

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// An entry is a key of an object with its value.
type entry struct {
	name       string
	key, value *yaml.Node
}

// entries returns what an object has: its own keys, then what its merge keys
// add to them, of which the first counts. within are the objects that are being
// merged already.
func (r *reader) entries(node *yaml.Node, path string, within []*yaml.Node) []entry {
	if slices.Contains(within, node) {
		r.fault(node, path, "merges itself: take the << out")
		return nil
	}
	within = append(within, node)
	var found, merged []entry
	names := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := resolve(node.Content[i]), node.Content[i+1]
		if key.Kind == yaml.ScalarNode && key.Value == "<<" && key.Style == 0 {
			merged = append(merged, r.merge(value, path, within)...)
			continue
		}
		name, ok := r.name(key, path)
		if ok && names[name] {
			r.fault(node.Content[i], path+"."+name, "the key is given twice: leave one")
			continue
		}
		if ok {
			names[name] = true
			found = append(found, entry{name, node.Content[i], value})
		}
	}
	for _, more := range merged {
		if !names[more.name] {
			names[more.name] = true
			found = append(found, more)
		}
	}
	return found
}

// merge returns the entries of the objects that a merge key names.
func (r *reader) merge(node *yaml.Node, path string, within []*yaml.Node) []entry {
	sources := []*yaml.Node{resolve(node)}
	if sources[0].Kind == yaml.SequenceNode {
		sources = sources[0].Content
	}
	var found []entry
	for _, source := range sources {
		source = resolve(source)
		if r.nodes++; r.nodes > maxNodes {
			r.fault(node, path, "more than %d values, aliases followed: write fewer", maxNodes)
			return nil
		}
		if source.Kind != yaml.MappingNode {
			r.fault(node, path, "<< is followed by something that is no object: write an alias of an object")
			return nil
		}
		found = append(found, r.entries(source, path, within)...)
	}
	return found
}

// name returns a key as text. Keys that are no text are what JavaScript makes
// of them, and refused where that is not what is written.
func (r *reader) name(key *yaml.Node, path string) (string, bool) {
	if key.Kind != yaml.ScalarNode {
		r.fault(key, path, "a key is a list or an object: write text")
		return "", false
	}
	if !r.tagged(key, path) {
		return "", false
	}
	value, kind := scalar(key)
	text := fmt.Sprint(value)
	if value == nil {
		text = "null"
	}
	if kind == kindOther || text != key.Value {
		r.fault(key, path, "the key %s is not read as text: write it in quotes, as %q", shown(key), key.Value)
		return "", false
	}
	return text, true
}

// resolve follows aliases.
func resolve(node *yaml.Node) *yaml.Node {
	for node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	return node
}

// shown is a scalar as it stands in the file.
func shown(node *yaml.Node) string {
	if node.Value == "" {
		return "without text"
	}
	return node.Value
}
