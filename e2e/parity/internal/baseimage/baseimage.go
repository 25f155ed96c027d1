// Package baseimage makes the images that the corpus' Dockerfiles start from.
//
// Two are whole systems, busybox and Debian; the others are busybox with
// something that a base can bring along: triggers, a user, volumes, file
// capabilities, links, whiteouts, devices, a whole configuration, an index.
package baseimage

import (
	"archive/tar"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Busybox and Debian name the whole systems.
const (
	Busybox = "busybox"
	Debian  = "debian"
)

// For returns the name of the image that a reference of a Dockerfile stands
// for, unless the case says otherwise: "parity/NAME" is the image NAME, what is
// called after a system of Debian's size is Debian, all else is busybox.
func For(repository string) string {
	if name, own := strings.CutPrefix(repository, "parity/"); own {
		return name
	}
	switch path.Base(repository) {
	case "debian", "ubuntu", "baseimage", "fedora", "rabbitmq", "cloud-sdk", "sdm-base", "base":
		return Debian
	}
	return Busybox
}

// Make returns the image of a name, or the index of images where it is one, as
// a registry takes it.
func Make(name string, busybox, debian v1.Image) (remote.Taggable, error) {
	switch name {
	case Busybox:
		return busybox, nil
	case Debian:
		return debian, nil
	}
	img, err := derive(name, busybox)
	if err != nil {
		return nil, fmt.Errorf("make base %s: %w", name, err)
	}
	return wrap(name, img)
}

// derive makes an image of busybox.
func derive(name string, busybox v1.Image) (v1.Image, error) {
	file, err := busybox.ConfigFile()
	if err != nil {
		return nil, err
	}
	config := *file.Config.DeepCopy()
	layers, found := configure(name, &config)
	if !found {
		return nil, errors.New("there is no base of this name")
	}
	img := busybox
	for _, entries := range layers {
		layer, err := newLayer(entries, format(name)...)
		if err != nil {
			return nil, err
		}
		if img, err = mutate.AppendLayers(img, layer); err != nil {
			return nil, err
		}
	}
	return mutate.Config(img, config)
}

// configure changes the configuration to that of a base and returns the layers
// that it has above busybox, and whether there is such a base.
func configure(name string, c *v1.Config) (layers [][]entry, found bool) {
	switch name {
	case "onbuild":
		c.OnBuild = []string{"ENV TRIGGERED=yes", "COPY . /usr/src/app/", "RUN echo built > /usr/src/app/trigger", "WORKDIR /usr/src/app"}
	case "onbuild-parents":
		c.OnBuild = []string{"COPY --parents src/file /app/"}
	case "nonroot":
		c.User, c.WorkingDir = "65534:65534", "/home/app"
		layers = [][]entry{{dir("home/app/", 65534)}}
	case "volumes":
		c.Volumes = map[string]struct{}{"/data": {}, "/cache": {}}
		layers = [][]entry{{dir("data/", 0), file("data/seed", 0o644, 0)}}
	case "capabilities":
		capable := file("usr/bin/ping", 0o755, 0)
		// Version 2, effective, permitted CAP_NET_RAW (capabilities(7)).
		capable.xattr = "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
		layers = [][]entry{{capable, file("usr/bin/su", 0o4755, 0), file("usr/bin/wall", 0o2755, 33), dir("var/spool/", 33)}}
	case "links":
		layers = [][]entry{
			{dir("opt/v1/", 0), file("opt/v1/tool", 0o755, 0), link("opt/current", "v1"), link("opt/absolute", "/opt/v1"), hard("opt/v1/alias", "opt/v1/tool"), dir("opt/gone/", 0), file("opt/gone/file", 0o644, 0)},
			{file("opt/.wh.gone", 0, 0), file("opt/v1/second", 0o600, 12)},
		}
	case "configured":
		c.Entrypoint, c.Cmd = []string{"/bin/busybox"}, []string{"echo", "base"}
		c.Env = append(c.Env, "BASE=base", "EMPTY=", "SPACED=a b")
		c.Labels = map[string]string{"base": "yes", "overridden": "base"}
		c.User, c.WorkingDir, c.StopSignal = "daemon", "/tmp", "SIGQUIT"
		c.ExposedPorts = map[string]struct{}{"8080/tcp": {}}
		c.Shell = []string{"/bin/busybox", "sh", "-c"}
		c.Healthcheck = &v1.HealthConfig{Test: []string{"CMD", "true"}, Interval: time.Minute}
	default:
		return odd(name, c)
	}
	return layers, true
}

// entry is an entry of a layer; a file's content is its name, where there is no text.
type entry struct {
	header tar.Header
	xattr  string
	text   string
}

func dir(name string, owner int) entry {
	return entry{header: tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: 0o755, Uid: owner, Gid: owner}}
}

func file(name string, mode int64, owner int) entry {
	return entry{header: tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: mode, Uid: owner, Gid: owner, Size: int64(len(name))}}
}

func text(name, content string) entry {
	e := file(name, 0o644, 0)
	e.text, e.header.Size = content, int64(len(content))
	return e
}

func link(name, target string) entry {
	return entry{header: tar.Header{Name: name, Typeflag: tar.TypeSymlink, Mode: 0o777, Linkname: target}}
}

func hard(name, target string) entry {
	return entry{header: tar.Header{Name: name, Typeflag: tar.TypeLink, Mode: 0o755, Linkname: target}}
}

func special(name string, kind byte, major, minor int64) entry {
	return entry{header: tar.Header{Name: name, Typeflag: kind, Mode: 0o644, Devmajor: major, Devminor: minor}}
}

func newLayer(entries []entry, options ...tarball.LayerOption) (v1.Layer, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		e.header.ModTime, e.header.Format = time.Unix(1_100_000_000, 0), tar.FormatPAX
		if e.xattr != "" {
			e.header.PAXRecords = map[string]string{"SCHILY.xattr.security.capability": e.xattr}
		}
		if err := w.WriteHeader(&e.header); err != nil {
			return nil, err
		}
		if e.header.Size > 0 {
			if _, err := io.WriteString(w, cmp.Or(e.text, e.header.Name)); err != nil {
				return nil, err
			}
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(out.Bytes())), nil }, options...)
}
