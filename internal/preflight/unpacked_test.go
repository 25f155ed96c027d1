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
		{"FROM a\nCOPY f /f\nRUN true\n", "[{a [/] false  }]"},
		{"FROM a AS x\nFROM x AS y\nFROM y\nRUN true\n", "[{a [/] false  }]"},
		{"FROM a AS x\nFROM b\nCOPY --from=x /opt/a opt/b/* /x/\n", "[{a [/opt/a /opt/b] false  }]"},
		{"FROM a AS x\nFROM b\nCOPY --from=x $D/a /x/\n", "[{a [/] false  }]"},
		{"FROM b\nCOPY --from=a /opt/a /x/\n", "[{a [/opt/a] true  }]"},
		{"FROM a\nRUN true\nCOPY --from=a /opt/a /x/\n", "[{a [/] true  }]"},
		{"FROM a AS x\nRUN true\nFROM b\n", "[]"},
		{"FROM scratch\nCOPY f /f\n", "[]"},
		{"FROM n\nRUN true\n", "[{n [/] false /srv/n 4711}]"},
		{"FROM n AS x\nUSER root\nFROM x\nRUN true\n", "[{n [/] false /srv/n }]"},
		{"FROM n\nUSER 4711\nWORKDIR /x\nRUN true\n", "[{n [/] false  }]"},
		{"FROM n\nWORKDIR x\nRUN true\n", "[{n [/] false /srv/n 4711}]"},
		{"FROM n\nUSER 0\nWORKDIR x\nRUN true\n", "[{n [/] false  }]"},
		{"FROM n AS x\nCOPY f .\nFROM x\nRUN true\n", "[{n [/] false  4711}]"},
		{"FROM n\nCOPY f /x\nRUN true\n", "[{n [/] false /srv/n 4711}]"},
		{"FROM n\nCOPY f /x\n", "[]"},
		{"FROM r\nRUN true\n", "[{r [/] false  }]"},
		{"FROM o\n", "[{o [/] false /srv/n 4711}]"},
		{"FROM t\n", "[{t [/] false  }]"},
	} {
		file, err := preflight.Parse("Dockerfile", []byte(tt.dockerfile))
		if err != nil {
			t.Fatal(err)
		}
		got, err := file.Unpacked(map[string]preflight.Base{
			"t": {Triggers: []string{"ENV A=b"}},
			"n": {User: "4711", Environment: preflight.BaseEnvironment{Workdir: "/srv/n"}},
			"r": {User: "0", Environment: preflight.BaseEnvironment{Workdir: "/"}},
			"o": {User: "4711", Triggers: []string{"RUN true"}, Environment: preflight.BaseEnvironment{Workdir: "/srv/n"}},
		})
		if diff := cmp.Diff(tt.want, fmt.Sprint(got)); diff != "" || err != nil {
			t.Errorf("%q: %v (-want +got):\n%s", tt.dockerfile, err, diff)
		}
	}
}
