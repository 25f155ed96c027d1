package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestMirror: the list names what is there, and dpkg reads it.
func TestMirror(t *testing.T) {
	const each = 20
	files, err := writeMirror(t.TempDir(), each)
	if err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadFile(files["mirror/Packages"])
	if err != nil {
		t.Fatal(err)
	}
	for n := range packages {
		path := files["mirror/"+mirrored(n)+".deb"]
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("Package: %s\n", mirrored(n))
		for _, text := range []string{want, fmt.Sprintf("Size: %d\nSHA256: %x\n\n", len(data), sha256.Sum256(data))} {
			if !strings.Contains(string(list), text) {
				t.Errorf("the list has no %q:\n%s", text, list)
			}
		}
		if _, err := exec.LookPath("dpkg-deb"); err != nil {
			continue
		}
		out, err := exec.CommandContext(t.Context(), "dpkg-deb", "--contents", path).CombinedOutput()
		if err != nil || strings.Count(string(out), "./opt/"+mirrored(n)) != each {
			t.Errorf("dpkg-deb: %v\n%.500s", err, out)
		}
	}
}
