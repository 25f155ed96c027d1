package agent

import (
	"debug/elf"
	"os"
	"path/filepath"
	"runtime"
)

// A Libc is which C libraries an image has for programs that are brought to it:
// the loader that is there decides, not the distribution's name.
type Libc byte

// Libraries of a [Libc].
const (
	Glibc Libc = 1 << iota
	Musl
)

// loaders are where a program names the loader of its C library, by the ABI of
// this architecture.
func loaders() (glibc, musl string) {
	if runtime.GOARCH == "arm64" {
		return "lib/ld-linux-aarch64.so.1", "lib/ld-musl-aarch64.so.1"
	}
	return "lib64/ld-linux-x86-64.so.2", "lib/ld-musl-x86_64.so.1"
}

// findLibc looks for the loaders below a root.
func findLibc(root string) Libc {
	var found Libc
	glibc, musl := loaders()
	if isGlibc(filepath.Join(root, glibc)) {
		found |= Glibc
	}
	if info, err := os.Stat(filepath.Join(root, musl)); err == nil && info.Mode().IsRegular() {
		found |= Musl
	}
	return found
}

// isGlibc tells a loader of glibc, which needs no library, from one of that name
// that is made of another libc's, such as Alpine's gcompat: with that one GitHub's
// Node.js does not start.
func isGlibc(path string) bool {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return false // opening a FIFO would wait
	}
	loader, err := elf.Open(path)
	if err != nil {
		return false
	}
	defer loader.Close()
	needed, err := loader.ImportedLibraries()
	return err == nil && len(needed) == 0
}
