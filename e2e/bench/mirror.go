package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/e2e/harness"
)

const (
	mirrorPort = 8080
	// packages are what the mirror has, each of some files of some bytes.
	packages     = 3
	packageFiles = 500
	packageBytes = 20 << 10
)

// mirrored names a package of the mirror.
func mirrored(n int) string { return fmt.Sprintf("kiln-bench-%d", n+1) }

// startMirror starts a pod that serves Debian packages by HTTP and returns its
// address.
func startMirror(ctx context.Context, cluster *harness.Cluster, namespace string) (string, error) {
	dir := filepath.Join(cluster.Root, "bin", "e2e", "mirror")
	files, err := writeMirror(dir, packageFiles)
	if err != nil {
		return "", err
	}
	image, err := cluster.PackImage(ctx, v1.Config{Env: []string{"PATH=/bin"}}, files)
	if err != nil {
		return "", err
	}
	pod := barePod("mirror", 0, corev1.Container{Image: image, Command: []string{"httpd", "-f", "-p", fmt.Sprint(mirrorPort), "-h", "/mirror"}})
	if _, err := cluster.Kube.CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{}); err != nil {
		return "", fmt.Errorf("create pod %s: %w", pod.Name, err)
	}
	address := ""
	err = cluster.Await(ctx, namespace, pod.Name, func(pod *corev1.Pod) (bool, error) {
		address = fmt.Sprintf("%s:%d", pod.Status.PodIP, mirrorPort)
		return harness.Running(container)(pod), nil
	})
	return address, err
}

// writeMirror writes a repository of packages without directories of its own
// (sources.list(5)), each of so many files. It returns the repository's files by their
// names in the mirror's image.
func writeMirror(dir string, each int) (map[string]string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("write mirror: %w", err)
	}
	content := map[string][]byte{}
	var list bytes.Buffer
	for n := range packages {
		data, err := debianPackage(n, each)
		if err != nil {
			return nil, fmt.Errorf("write mirror: %w", err)
		}
		file := mirrored(n) + ".deb"
		content[file] = data
		fmt.Fprintf(&list, "%sFilename: ./%s\nSize: %d\nSHA256: %x\n\n", control(n), file, len(data), sha256.Sum256(data))
	}
	content["Packages"] = list.Bytes()
	content["Release"] = fmt.Appendf(nil, "Date: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n %x %d Packages\n", sha256.Sum256(list.Bytes()), list.Len())
	files := map[string]string{}
	for name, data := range content {
		files["mirror/"+name] = filepath.Join(dir, name)
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil { //nolint:gosec // it is served
			return nil, fmt.Errorf("write mirror: %w", err)
		}
	}
	return files, nil
}

// control is what a package says of itself (deb-control(5)).
func control(n int) string {
	return fmt.Sprintf("Package: %s\nVersion: 1\nArchitecture: all\nMaintainer: bench\nDescription: files\n", mirrored(n))
}

// debianPackage is a package of so many files, of pseudo-random bytes and of text, as
// deb(5) has it: an archive of ar(1) with the version, the control file and the files.
func debianPackage(n, each int) ([]byte, error) {
	about, err := gzipTar([]tar.Header{{Name: "./control", Size: int64(len(control(n)))}}, func(int) []byte { return []byte(control(n)) })
	if err != nil {
		return nil, err
	}
	source := rand.NewChaCha8([32]byte{byte(n)})
	headers := make([]tar.Header, each)
	for i := range headers {
		headers[i] = tar.Header{Name: fmt.Sprintf("./opt/%s-file-%d", mirrored(n), i), Size: packageBytes}
	}
	files, err := gzipTar(headers, func(int) []byte {
		random := make([]byte, packageBytes/2)
		_, _ = source.Read(random) // it never fails
		return append(random, strings.Repeat("text of a file. ", packageBytes/32)...)
	})
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	out.WriteString("!<arch>\n")
	for _, part := range []struct {
		name string
		data []byte
	}{{"debian-binary", []byte("2.0\n")}, {"control.tar.gz", about}, {"data.tar.gz", files}} {
		fmt.Fprintf(&out, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", part.name, 0, 0, 0, "100644", len(part.data))
		out.Write(part.data)
		if len(part.data)%2 == 1 {
			out.WriteByte('\n')
		}
	}
	return out.Bytes(), nil
}

// gzipTar packs files; content returns the next one's.
func gzipTar(headers []tar.Header, content func(int) []byte) ([]byte, error) {
	var out bytes.Buffer
	gz := gzip.NewWriter(&out)
	tw := tar.NewWriter(gz)
	for i, h := range headers {
		h.Typeflag, h.Mode, h.ModTime = tar.TypeReg, 0o644, time.Unix(0, 0)
		if err := tw.WriteHeader(&h); err != nil {
			return nil, err
		}
		if _, err := tw.Write(content(i)); err != nil {
			return nil, err
		}
	}
	err := errors.Join(tw.Close(), gz.Close())
	return out.Bytes(), err
}
