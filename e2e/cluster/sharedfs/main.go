// Command sharedfs is to the nodes of a cluster what a network file system is to
// machines: it shows the directory STORE, which all nodes have from the machine that they
// run on, at DIR. Each node mounts it for itself, so that files are the same everywhere
// at once, and a Unix socket leads nowhere but to who listens on the same node, whatever
// kernel the other one has.
//
//	sharedfs STORE DIR
//
// Nothing is cached: a node sees at once what another has done. What another has removed
// while it is mounted or open here is stale (ESTALE), as with NFS: the kubelet, which
// unmounts parts of a volume, knows that. It runs as root, until DIR is unmounted.
package main

import (
	"context"
	"fmt"
	"os"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: sharedfs STORE DIR")
		os.Exit(2)
	}
	if err := serve(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "sharedfs:", err)
		os.Exit(1)
	}
}

func serve(store, dir string) error {
	unix.Umask(0) // the kernel has applied that of the process that asks
	root, err := fs.NewLoopbackRoot(store)
	if err != nil {
		return fmt.Errorf("open %s: %w", store, err)
	}
	server, err := fs.Mount(dir, wrap(root), &fs.Options{
		NullPermissions: true, // a file without any has none
		MountOptions: fuse.MountOptions{
			FsName: store, Name: "sharedfs",
			AllowOther: true, Options: []string{"default_permissions"}, // the kernel checks them
			DirectMountStrict: true, // there is no fusermount
		},
	})
	if err != nil {
		return fmt.Errorf("mount %s at %s: %w", store, dir, err)
	}
	server.Wait()
	return nil
}

// A node is a file or directory by its path in the store.
type node struct{ *fs.LoopbackNode }

// wrap makes a node of what the library makes.
func wrap(plain fs.InodeEmbedder) node {
	return node{plain.(*fs.LoopbackNode)} //nolint:forcetypeassert // it makes nothing else
}

// WrapChild implements [fs.NodeWrapChilder].
func (node) WrapChild(_ context.Context, plain fs.InodeEmbedder) fs.InodeEmbedder { return wrap(plain) }

// Getattr implements [fs.NodeGetattrer].
func (n node) Getattr(ctx context.Context, open fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	errno := n.LoopbackNode.Getattr(ctx, open, out)
	if errno == syscall.ENOENT {
		return syscall.ESTALE
	}
	return errno
}
