package compare

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"kiln/e2e/parity/internal/rootfs"
)

var (
	began  = time.Unix(2_000_000_000, 0)
	before = time.Unix(1_000_000_000, 0)
)

// sample is an image with something in every place that is compared. Each call
// returns a new one.
func sample() Image {
	file := &rootfs.Node{Kind: "file", Mode: 0o644, UID: 1, GID: 2, Size: 3, Digest: "aa", ModTime: before}
	return Image{
		Platform:    "linux/amd64",
		Healthcheck: map[string]any{"Test": []string{"CMD", "x"}, "Retries": 3},
		Tree: rootfs.Tree{
			"/":     {Kind: "dir", Mode: 0o755, ModTime: before},
			"/a":    file,
			"/a2":   file,
			"/dev":  {Kind: "char", Mode: 0o666, Device: "1:3", ModTime: before},
			"/link": {Kind: "link", Mode: 0o777, Link: "a", ModTime: before},
			"/prog": {Kind: "file", Mode: 0o755, Size: 1, Digest: "bb", Capability: "0100", ModTime: before},
			"/new":  {Kind: "file", Mode: 0o644, Digest: "cc", ModTime: began.Add(time.Second)},
		},
		Config: v1.Config{
			Env: []string{"A=1", "B=2"}, Entrypoint: []string{"/e"}, Cmd: []string{"c"},
			WorkingDir: "/w", User: "1:2", Labels: map[string]string{"l": "1"},
			ExposedPorts: map[string]struct{}{"80/tcp": {}}, Volumes: map[string]struct{}{"/v": {}},
			StopSignal: "SIGINT", Shell: []string{"/bin/sh", "-c"}, OnBuild: []string{"RUN x"},
		},
	}
}

// TestPlanted plants a difference in every attribute and wants it, and nothing
// else, reported.
func TestPlanted(t *testing.T) {
	node := func(name string, change func(*rootfs.Node)) func(*Image) {
		return func(img *Image) { change(img.Tree[name]) }
	}
	config := func(change func(*v1.Config)) func(*Image) {
		return func(img *Image) { change(&img.Config) }
	}
	tests := map[string]struct {
		plant func(*Image)
		want  Difference
	}{
		"path that is missing":  {func(img *Image) { delete(img.Tree, "/new") }, Difference{"/new", "type", "file", ""}},
		"path too many":         {func(img *Image) { img.Tree["/x"] = &rootfs.Node{Kind: "fifo"} }, Difference{"/x", "type", "", "fifo"}},
		"type":                  {node("/new", func(n *rootfs.Node) { n.Kind = "link" }), Difference{"/new", "type", "file", "link"}},
		"permission bit":        {node("/prog", func(n *rootfs.Node) { n.Mode = 0o754 }), Difference{"/prog", "mode", "0755", "0754"}},
		"setuid":                {node("/prog", func(n *rootfs.Node) { n.Mode |= 0o4000 }), Difference{"/prog", "mode", "0755", "4755"}},
		"setgid":                {node("/prog", func(n *rootfs.Node) { n.Mode |= 0o2000 }), Difference{"/prog", "mode", "0755", "2755"}},
		"sticky":                {node("/", func(n *rootfs.Node) { n.Mode |= 0o1000 }), Difference{"/", "mode", "0755", "1755"}},
		"uid":                   {node("/prog", func(n *rootfs.Node) { n.UID = 9 }), Difference{"/prog", "uid", "0", "9"}},
		"gid":                   {node("/prog", func(n *rootfs.Node) { n.GID = 9 }), Difference{"/prog", "gid", "0", "9"}},
		"size":                  {node("/prog", func(n *rootfs.Node) { n.Size = 2 }), Difference{"/prog", "size", "1", "2"}},
		"content":               {node("/prog", func(n *rootfs.Node) { n.Digest = "dd" }), Difference{"/prog", "content", "bb", "dd"}},
		"link target":           {node("/link", func(n *rootfs.Node) { n.Link = "a2" }), Difference{"/link", "target", "a", "a2"}},
		"device":                {node("/dev", func(n *rootfs.Node) { n.Device = "1:5" }), Difference{"/dev", "device", "1:3", "1:5"}},
		"capability":            {node("/prog", func(n *rootfs.Node) { n.Capability = "" }), Difference{"/prog", "capability", "0100", ""}},
		"mtime that COPY keeps": {node("/prog", func(n *rootfs.Node) { n.ModTime = before.Add(time.Second) }), Difference{"/prog", "mtime", "2001-09-09T01:46:40Z", "2001-09-09T01:46:41Z"}},
		"mtime of a link":       {node("/link", func(n *rootfs.Node) { n.ModTime = began }), Difference{"/link", "mtime of the link", "2001-09-09T01:46:40Z", "the run"}},
		"mtime that is not new": {node("/new", func(n *rootfs.Node) { n.ModTime = before }), Difference{"/new", "mtime", "the run", "2001-09-09T01:46:40Z"}},

		"Platform":           {func(img *Image) { img.Platform = "linux/arm64" }, Difference{"config", "Platform", "linux/amd64", "linux/arm64"}},
		"Env":                {config(func(c *v1.Config) { c.Env[1] = "B=3" }), Difference{"config", "Env", `["A=1","B=2"]`, `["A=1","B=3"]`}},
		"Env, order":         {config(func(c *v1.Config) { c.Env = []string{"B=2", "A=1"} }), Difference{"config", "Env", `["A=1","B=2"]`, `["B=2","A=1"]`}},
		"Entrypoint":         {config(func(c *v1.Config) { c.Entrypoint = nil }), Difference{"config", "Entrypoint", `["/e"]`, ""}},
		"Cmd":                {config(func(c *v1.Config) { c.Cmd = []string{"d"} }), Difference{"config", "Cmd", `["c"]`, `["d"]`}},
		"WorkingDir":         {config(func(c *v1.Config) { c.WorkingDir = "/" }), Difference{"config", "WorkingDir", "/w", "/"}},
		"User":               {config(func(c *v1.Config) { c.User = "1" }), Difference{"config", "User", "1:2", "1"}},
		"Labels":             {config(func(c *v1.Config) { c.Labels["l"] = "2" }), Difference{"config", "Labels", `{"l":"1"}`, `{"l":"2"}`}},
		"Labels, more":       {config(func(c *v1.Config) { c.Labels["kiln"] = "" }), Difference{"config", "Labels", `{"l":"1"}`, `{"kiln":"","l":"1"}`}},
		"ExposedPorts":       {config(func(c *v1.Config) { c.ExposedPorts = nil }), Difference{"config", "ExposedPorts", `{"80/tcp":{}}`, ""}},
		"Volumes":            {config(func(c *v1.Config) { c.Volumes = nil }), Difference{"config", "Volumes", `{"/v":{}}`, ""}},
		"Healthcheck":        {func(img *Image) { delete(img.Healthcheck, "Retries") }, Difference{"config", "Healthcheck", `{"Retries":3,"Test":["CMD","x"]}`, `{"Test":["CMD","x"]}`}},
		"Healthcheck, newer": {func(img *Image) { img.Healthcheck["StartInterval"] = 1 }, Difference{"config", "Healthcheck", `{"Retries":3,"Test":["CMD","x"]}`, `{"Retries":3,"StartInterval":1,"Test":["CMD","x"]}`}},
		"StopSignal":         {config(func(c *v1.Config) { c.StopSignal = "" }), Difference{"config", "StopSignal", "SIGINT", ""}},
		"Shell":              {config(func(c *v1.Config) { c.Shell = nil }), Difference{"config", "Shell", `["/bin/sh","-c"]`, ""}},
		"OnBuild":            {config(func(c *v1.Config) { c.OnBuild = nil }), Difference{"config", "OnBuild", `["RUN x"]`, ""}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			planted := sample()
			tc.plant(&planted)
			if diff := cmp.Diff([]Difference{tc.want}, Images(sample(), planted, began)); diff != "" {
				t.Errorf("Images (-want +got):\n%s", diff)
			}
		})
	}
}

// TestHardLinks wants both names reported when a hard link has become a copy.
func TestHardLinks(t *testing.T) {
	planted := sample()
	second := *planted.Tree["/a2"]
	planted.Tree["/a2"] = &second
	want := []Difference{
		{"/a", "links", "/a /a2", "/a"},
		{"/a2", "links", "/a /a2", "/a2"},
	}
	if diff := cmp.Diff(want, Images(sample(), planted, began)); diff != "" {
		t.Errorf("Images (-want +got):\n%s", diff)
	}
}

// TestIncomparable changes everything that says when and how an image was
// built, and wants silence.
func TestIncomparable(t *testing.T) {
	other := sample()
	other.Tree["/"].ModTime = began
	other.Tree["/new"].ModTime = began.Add(time.Hour)
	other.Tree["/link"].Mode = 0o755
	other.Tree["/prog"].ModTime = before.Add(time.Millisecond)
	other.Config.Labels["kiln.build/key"] = "k"
	if differences := Images(sample(), other, began); len(differences) > 0 {
		t.Errorf("Images = %v, want none", differences)
	}
	root, empty := sample(), sample()
	root.Config.WorkingDir, empty.Config.WorkingDir = "/", ""
	if differences := Images(root, empty, began); len(differences) > 0 {
		t.Errorf("Images of / and no working directory = %v, want none", differences)
	}
}
