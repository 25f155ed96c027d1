package preflight_test

import (
	"testing"

	"kiln/internal/preflight"
)

func TestDevices(t *testing.T) {
	for name, tt := range map[string]struct {
		dockerfile string
		line       int
	}{
		"none":           {"FROM a\nRUN make\n", 0},
		"a RUN":          {"FROM a\nRUN make\nRUN mkdir /d && mknod -m 666 /d/null c 1 3\n", 3},
		"with its path":  {"FROM a\nRUN /bin/mknod /null c 1 3\n", 2},
		"exec form":      {"FROM a\nRUN [\"mknod\", \"/null\", \"c\", \"1\", \"3\"]\n", 2},
		"a heredoc":      {"FROM a\nRUN <<EOF\nset -e\nmknod /p p\nEOF\n", 2},
		"further lines":  {"FROM a\nRUN true && \\\n  mknod /p p\n", 2},
		"another word":   {"FROM a\nRUN ./mknod.sh && cat no-mknod mknodat.c\n", 0},
		"no RUN":         {"FROM a\nENV X=mknod\nCOPY mknod /\n", 0},
		"unused":         {"FROM a AS x\nRUN mknod /p p\nFROM a\nRUN true\n", 0},
		"in a used one":  {"FROM a AS x\nRUN mknod /p p\nFROM a\nCOPY --from=x /p /p\n", 2},
		"a bootstrapper": {"FROM a\nRUN debootstrap stable /r\n", 2},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := preflight.Parse("Dockerfile", []byte(tt.dockerfile))
			if err != nil {
				t.Fatal(err)
			}
			if got := d.Devices; got != tt.line {
				t.Errorf("line %d, want %d", got, tt.line)
			}
		})
	}
}
