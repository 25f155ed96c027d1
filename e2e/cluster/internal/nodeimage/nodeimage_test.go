package nodeimage

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

func TestParseLDD(t *testing.T) {
	out := `/usr/sbin/nft:
	linux-vdso.so.1 (0x00007ffd)
	libm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f)
	libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)
	/lib64/ld-linux-x86-64.so.2 (0x00007f)
/usr/lib/x86_64-linux-gnu/xtables/libxt_tcp.so:
	libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)
	statically linked
`
	want := []string{"/lib/x86_64-linux-gnu/libc.so.6", "/lib/x86_64-linux-gnu/libm.so.6", "/lib64/ld-linux-x86-64.so.2"}
	if diff := cmp.Diff(want, parseLDD(out)); diff != "" {
		t.Errorf("parseLDD (-want +got):\n%s", diff)
	}
}

func TestBaseSpec(t *testing.T) {
	got, err := baseSpec([]byte(`{"process":{"args":["sh"],"rlimits":[{"type":"RLIMIT_NOFILE"}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"hooks":{"createContainer":[{"path":"/kind/bin/mount-product-files.sh"}]},"process":{"args":["sh"]}}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("baseSpec (-want +got):\n%s", diff)
	}
}

func TestRestrictOOMScore(t *testing.T) {
	got, err := restrictOOMScore([]byte("a = 1\nrestrict_oom_score_adj = false\n"))
	if err != nil || string(got) != "a = 1\nrestrict_oom_score_adj = true\n" {
		t.Errorf("restrictOOMScore = %q, %v", got, err)
	}
	if _, err := restrictOOMScore([]byte("a = 1\n")); err == nil {
		t.Error("a configuration without the setting: want an error")
	}
}

func TestResolveStaysInsideTheRoot(t *testing.T) {
	root := t.TempDir()
	b := builder{root: root}
	if err := os.WriteFile(filepath.Join(root, "real"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"relative": "real", "absolute": "/real", "twice": "absolute", "loop": "loop"} {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"real", "relative", "/absolute", "twice"} {
		if got, err := b.resolve(name); err != nil || got != filepath.Join(root, "real") {
			t.Errorf("resolve(%s) = %s, %v", name, got, err)
		}
	}
	if _, err := b.resolve("loop"); err == nil {
		t.Error("resolve of a link to itself: want an error")
	}
}

func TestManifestsAreYAML(t *testing.T) {
	for name, manifest := range map[string][]byte{"network": networkManifest, "storage": storageManifest} {
		for i, document := range splitDocuments(manifest) {
			var object struct{ Kind string }
			if err := yaml.Unmarshal(document, &object); err != nil || object.Kind == "" {
				t.Errorf("%s, document %d: kind %q, %v", name, i, object.Kind, err)
			}
		}
	}
}

func splitDocuments(manifest []byte) [][]byte {
	var documents [][]byte
	start := 0
	for i := range manifest {
		if i+5 <= len(manifest) && string(manifest[i:i+5]) == "\n---\n" {
			documents = append(documents, manifest[start:i])
			start = i + 5
		}
	}
	return append(documents, manifest[start:])
}
