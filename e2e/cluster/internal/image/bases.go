package image

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"kiln/e2e/cluster/internal/command"
)

// passwd and group name the users that the images on Docker Hub know too.
const (
	passwd = "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\nwww-data:x:33:33:www-data:/var/www:/bin/false\nnobody:x:65534:65534:nobody:/home:/bin/false\n"
	group  = "root:x:0:\ndaemon:x:1:\nwww-data:x:33:\nnogroup:x:65534:\n"
)

// Busybox is what docker.io/library/busybox is to a Dockerfile: one static
// program, a link for each of its applets in /bin, sh as the command, a
// writable /tmp and a user database. The program is Debian's busybox-static,
// whose applets are a subset of Docker Hub's.
func Busybox(ctx context.Context, program, architecture, layerPath string) (v1.Image, error) {
	files, err := busyboxFiles(ctx, program)
	if err != nil {
		return nil, err
	}
	files.Link("usr/bin/env", "/bin/busybox")
	files.Dir("home", 0o755)
	files.Dir("var/www", 0o755)
	layer, err := files.Layer(layerPath, Fast())
	if err != nil {
		return nil, err
	}
	return New(v1.Config{Env: []string{SearchPath}, Cmd: []string{"sh"}}, architecture, layer)
}

// busyboxFiles is the program, a link for each applet, users and /tmp.
func busyboxFiles(ctx context.Context, program string) (*Files, error) {
	list, err := command.Output(ctx, program, "--list")
	if err != nil {
		return nil, fmt.Errorf("list busybox applets: %w", err)
	}
	files := &Files{}
	files.Copy("bin/busybox", program, 0o755)
	for applet := range strings.FieldsSeq(list) {
		if applet != "busybox" {
			files.Link("bin/"+applet, "/bin/busybox")
		}
	}
	files.Content("etc/passwd", []byte(passwd), 0o644)
	files.Content("etc/group", []byte(group), 0o644)
	files.Dir("root", 0o700)
	files.Dir("tmp", 0o1777)
	return files, nil
}

// Debian is what docker.io/library/debian is to a Dockerfile. The tar is a
// minbase root file system.
func Debian(rootfs, architecture string) (v1.Image, error) {
	layer, err := tarball.LayerFromFile(rootfs, Fast())
	if err != nil {
		return nil, fmt.Errorf("read root file system: %w", err)
	}
	return New(v1.Config{Env: []string{SearchPath}, Cmd: []string{"bash"}}, architecture, layer)
}

// Compiler is a small stand-in for docker.io/library/gcc: the compiler's
// packages unpacked, over them busybox for a shell. It compiles C, statically
// or not; it has no package manager and no C++.
func Compiler(ctx context.Context, rootfs, busybox, architecture, layerPath string) (v1.Image, error) {
	tools, err := busyboxFiles(ctx, busybox)
	if err != nil {
		return nil, err
	}
	tools.Link("usr/bin/cc", "gcc")
	top, err := tools.Layer(layerPath, Fast())
	if err != nil {
		return nil, err
	}
	bottom, err := tarball.LayerFromFile(rootfs, Fast())
	if err != nil {
		return nil, fmt.Errorf("read root file system: %w", err)
	}
	return New(v1.Config{Env: []string{SearchPath}, Cmd: []string{"sh"}}, architecture, bottom, top)
}

// CompilerExcess is a drop function for FilterTar: what a C compiler's
// packages hold beside the compiler. It is most of them.
func CompilerExcess(name string, dir bool) bool {
	if Below([]string{
		"usr/share", "var", "etc/alternatives", "usr/lib/x86_64-linux-gnu/gconv",
		"usr/include/rpcsvc", "usr/include/tirpc", "usr/include/rdma", "usr/include/sound", "usr/include/misc",
		"usr/include/drm", "usr/include/scsi", "usr/include/video", "usr/include/xen", "usr/include/mtd",
		"usr/include/linux/netfilter", "usr/include/linux/dvb", "usr/include/linux/usb", "usr/include/linux/tc_act",
	})(name, dir) {
		return true
	}
	base := path.Base(name)
	for _, excess := range []string{
		"lto1", "x86_64-linux-gnu-lto-dump", "x86_64-linux-gnu-gcov", "x86_64-linux-gnu-gp-", "x86_64-linux-gnu-gprofng",
		"x86_64-linux-gnu-dwp", "x86_64-linux-gnu-ld.gold", "libasan", "libtsan", "liblsan", "libubsan", "libhwasan",
		"libgprofng", "libcrypto.so", "libssl.so", "libkrb5", "libgssapi", "libmvec.a",
	} {
		if strings.HasPrefix(base, excess) {
			return true
		}
	}
	return strings.Contains(name, "/gprofng/")
}

// Kaniko is laid out as the executor images of the Kaniko project are: nothing
// but /kaniko, with the executor as the entrypoint.
func Kaniko(executor, certificates, architecture, layerPath string) (v1.Image, error) {
	var files Files
	files.Copy("kaniko/executor", executor, 0o755)
	files.Copy("kaniko/ssl/certs/ca-certificates.crt", certificates, 0o644)
	files.Dir("kaniko/.docker", 0o755)
	files.Content("etc/nsswitch.conf", []byte("hosts: files dns\n"), 0o644)
	layer, err := files.Layer(layerPath, Fast())
	if err != nil {
		return nil, err
	}
	return New(v1.Config{
		Entrypoint: []string{"/kaniko/executor"},
		WorkingDir: "/workspace",
		Env: []string{
			"HOME=/root", "USER=root", "PATH=/usr/local/bin:/kaniko",
			"SSL_CERT_DIR=/kaniko/ssl/certs", "DOCKER_CONFIG=/kaniko/.docker/",
			"DOCKER_CREDENTIAL_GCR_CONFIG=/kaniko/.config/gcloud/docker_credential_gcr_config.json",
		},
	}, architecture, layer)
}

// Registry holds the test registry's program and a directory for its blobs.
func Registry(program, architecture, layerPath string) (v1.Image, error) {
	var files Files
	files.Copy("registry", program, 0o755)
	files.Dir("data", 0o755)
	files.Dir("tmp", 0o1777)
	layer, err := files.Layer(layerPath, Fast())
	if err != nil {
		return nil, err
	}
	return New(v1.Config{Entrypoint: []string{"/registry"}, Env: []string{SearchPath}}, architecture, layer)
}

// FilterFile is FilterTar from one file to another.
func FilterFile(dst, src string, drop func(name string, dir bool) bool) error {
	in, err := os.Open(src)
	if err != nil {
		return fmt.Errorf("open root file system: %w", err)
	}
	defer in.Close()
	out, err := os.Create(dst)
	if err != nil {
		return fmt.Errorf("create root file system: %w", err)
	}
	const buffer = 1 << 20
	buffered := bufio.NewWriterSize(out, buffer)
	err = FilterTar(buffered, bufio.NewReaderSize(in, buffer), drop)
	if err := errors.Join(err, buffered.Flush(), out.Close()); err != nil {
		return fmt.Errorf("filter root file system %s: %w", filepath.Base(src), err)
	}
	return nil
}
