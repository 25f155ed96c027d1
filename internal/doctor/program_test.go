package doctor

import (
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// TestProgram runs the trial program where this machine can, and reads it elsewhere.
func TestProgram(t *testing.T) {
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		t.Run(arch, func(t *testing.T) {
			data, err := program(arch, "r.io/a:r-1")
			if err != nil {
				t.Fatal(err)
			}
			file, err := elf.NewFile(bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			if file.Machine != machine || len(file.Progs) != 1 || file.Progs[0].Filesz != uint64(len(data)) || !bytes.HasSuffix(data, []byte("r.io/a:r-1")) {
				t.Errorf("header %+v, segments %+v", file.FileHeader, file.Progs)
			}
			if arch != runtime.GOARCH || runtime.GOOS != "linux" {
				t.Skipf("this machine does not run programs for %s", arch)
			}
			path := filepath.Join(t.TempDir(), "program")
			if err := os.WriteFile(path, data, 0o755); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.CommandContext(t.Context(), path).CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("%v, output %q", err, out)
			}
		})
	}
	if data, err := program("s390x", "unique"); err != nil || string(data) != "unique" {
		t.Errorf("another architecture: %q, %v", data, err)
	}
}
