package createoptions

import (
	"encoding/csv"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// volume reads [SOURCE:]TARGET[:OPTIONS].
func (p *parser) volume(value string) error {
	parts := strings.Split(value, ":")
	var v Volume
	switch {
	case len(parts) == 1:
		v.Target = parts[0]
	case len(parts) == 2:
		v.Source, v.Target = parts[0], parts[1]
	case len(parts) == 3 && volumeOptions(parts[2]):
		v.Source, v.Target = parts[0], parts[1]
		v.ReadOnly = slices.Contains(strings.Split(parts[2], ","), "ro")
	default:
		return fmt.Errorf("%q is not [SOURCE:]TARGET[:ro]", value)
	}
	if len(parts) > 1 && v.Source == "" {
		return fmt.Errorf("%q is not [SOURCE:]TARGET[:ro]", value)
	}
	return p.addVolume(v, value)
}

// volumeOptions tells whether these are Docker's; but ro they change nothing
// that a pod has.
func volumeOptions(list string) bool {
	for o := range strings.SplitSeq(list, ",") {
		if !slices.Contains([]string{
			"ro", "rw", "z", "Z", "nocopy", "cached", "delegated", "consistent",
			"shared", "rshared", "slave", "rslave", "private", "rprivate",
		}, o) {
			return false
		}
	}
	return true
}

// addVolume checks the paths, and cleans them.
func (p *parser) addVolume(v Volume, value string) error {
	switch {
	case !strings.HasPrefix(v.Target, "/") || path.Clean(v.Target) == "/":
		return fmt.Errorf("%q: the path in the container is absolute and not /", value)
	case strings.HasPrefix(v.Source, "."):
		return fmt.Errorf("%q: a path of the host is absolute; ${{ github.workspace }} is the workspace's", value)
	case strings.HasPrefix(v.Source, "/"):
		v.Source = path.Clean(v.Source)
	case !volumeName(v.Source):
		return fmt.Errorf("%q: the name of a volume has letters, digits, _ . and - alone", value)
	}
	v.Target = path.Clean(v.Target)
	p.out.Volumes = append(p.out.Volumes, v)
	return nil
}

// volumeName accepts the empty name of an anonymous volume.
func volumeName(name string) bool {
	return len(name) <= 255 && !strings.ContainsFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_.-", r))
	})
}

// tmpfs reads PATH[:OPTIONS].
func (p *parser) tmpfs(value string) error {
	target, options, _ := strings.Cut(value, ":")
	t := Tmpfs{Path: target}
	for option := range strings.SplitSeq(options, ",") {
		key, setting, _ := strings.Cut(option, "=")
		if key != "size" || strings.HasSuffix(setting, "%") {
			continue
		}
		n, err := bytes(setting)
		if err != nil {
			return err
		}
		t.Bytes = n
	}
	return p.addTmpfs(t, value)
}

func (p *parser) addTmpfs(t Tmpfs, value string) error {
	if !strings.HasPrefix(t.Path, "/") || path.Clean(t.Path) == "/" {
		return fmt.Errorf("%q: the path in the container is absolute and not /", value)
	}
	t.Path = path.Clean(t.Path)
	p.out.Tmpfs = append(p.out.Tmpfs, t)
	return nil
}

// mount reads --mount: a line of CSV with key=value.
func (p *parser) mount(value string) error {
	fields, err := csv.NewReader(strings.NewReader(value)).Read()
	if err != nil {
		return fmt.Errorf("%q is not type=…,source=…,target=…", value)
	}
	m := mount{kind: "volume"}
	for _, field := range fields {
		if err := m.field(field); err != nil {
			return fmt.Errorf("%q: %w", value, err)
		}
	}
	switch {
	case m.kind == "tmpfs":
		return p.addTmpfs(Tmpfs{Path: m.target, Bytes: m.bytes}, value)
	case m.kind == "bind" && !strings.HasPrefix(m.source, "/"):
		return fmt.Errorf("%q: a bind wants an absolute path as source", value)
	case m.kind == "volume" && strings.HasPrefix(m.source, "/"):
		return fmt.Errorf("%q: a volume wants a name as source; type=bind has a path", value)
	}
	return p.addVolume(Volume{Source: m.source, Target: m.target, ReadOnly: m.readOnly}, value)
}

// mount is what --mount has said so far.
type mount struct {
	kind           string
	source, target string
	readOnly       bool
	bytes          int64
}

// field reads one key=value.
func (m *mount) field(text string) error {
	key, value, hasValue := strings.Cut(text, "=")
	switch strings.ToLower(key) {
	case "type":
		m.kind = strings.ToLower(value)
		if !slices.Contains([]string{"bind", "volume", "tmpfs"}, m.kind) {
			return fmt.Errorf("type %s %w", value, errNoCounterpart)
		}
	case "source", "src":
		m.source = value
	case "target", "destination", "dst":
		m.target = value
	case "readonly", "ro":
		on, err := strconv.ParseBool(value)
		if hasValue && err != nil {
			return fmt.Errorf("%s is on or off", key)
		}
		m.readOnly = !hasValue || on
	case "tmpfs-size":
		n, err := bytes(value)
		if err != nil {
			return err
		}
		m.bytes = n
	case "tmpfs-mode", "consistency", "bind-propagation", "bind-nonrecursive", "bind-recursive",
		"bind-create-src", "volume-nocopy", "volume-label":
	case "volume-driver", "volume-opt", "volume-subpath", "image-subpath":
		return fmt.Errorf("%s %w", key, errNoCounterpart)
	default:
		return fmt.Errorf("%s is no key of --mount", key)
	}
	return nil
}
