package preflight_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kiln/internal/preflight"
)

func TestUnpacked(t *testing.T) {
	for _, tt := range []struct{ dockerfile, want string }{
		{"FROM a\nCOPY f /f\nENV A=1\n", "[]"},
		{"FROM a\nCOPY f /f\nRUN true\n", "[{a [/] false}]"},
		{"FROM a AS x\nFROM x AS y\nFROM y\nRUN true\n", "[{a [/] false}]"},
		{"FROM a AS x\nFROM b\nCOPY --from=x /opt/a opt/b/* /x/\n", "[{a [/opt/a /opt/b] false}]"},
		{"FROM a AS x\nFROM b\nCOPY --from=x $D/a /x/\n", "[{a [/] false}]"},
		{"FROM b\nCOPY --from=a /opt/a /x/\n", "[{a [/opt/a] true}]"},
		{"FROM a\nRUN true\nCOPY --from=a /opt/a /x/\n", "[{a [/] true}]"},
		{"FROM a AS x\nRUN true\nFROM b\n", "[]"},
		{"FROM scratch\nCOPY f /f\n", "[]"},
		{"FROM t\n", "[{t [/] false}]"},
	} {
		file, err := preflight.Parse("Dockerfile", []byte(tt.dockerfile))
		if err != nil {
			t.Fatal(err)
		}
		got, err := file.Unpacked(map[string]bool{"t": true})
		if diff := cmp.Diff(tt.want, fmt.Sprint(got)); diff != "" || err != nil {
			t.Errorf("%q: %v (-want +got):\n%s", tt.dockerfile, err, diff)
		}
	}
}
