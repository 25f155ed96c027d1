package buildcontext

import "path"

// Without returns the tree without what a .dockerignore excludes. [Stage] has left that
// out but for the Dockerfile and the .dockerignore itself, which go with every context:
// a COPY copies those two only where they are not excluded. The name is that of the
// .dockerignore, for errors, which are of type [*InputError].
func (t *Tree) Without(name string, ignore []byte) (*Tree, error) {
	f, err := newFilter(name, ignore)
	if err != nil || f.matcher == nil {
		return t, err
	}
	parents, kept := map[string]matches{}, map[string]bool{}
	excluded := make([]bool, len(t.nodes))
	for i, node := range t.nodes {
		var info matches
		if excluded[i], info, err = f.excludes(node.Path, parents[path.Dir(node.Path)]); err != nil {
			return nil, err
		}
		if node.Dir {
			parents[node.Path] = info
		}
		for dir := path.Dir(node.Path); !excluded[i] && dir != "." && !kept[dir]; dir = path.Dir(dir) {
			kept[dir] = true
		}
	}
	left := &Tree{size: t.size}
	for i, node := range t.nodes {
		if !excluded[i] || kept[node.Path] {
			left.nodes = append(left.nodes, node)
		}
	}
	return left, nil
}
