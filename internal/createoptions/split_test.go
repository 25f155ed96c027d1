package createoptions

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestWords splits as .NET does, and what is more lenient than it.
func TestWords(t *testing.T) {
	for line, want := range map[string][]string{
		"":                nil,
		" a\tb  c\n":      {"a", "b", "c"},
		`a"b c"d`:         {"ab cd"},
		`""`:              {""},
		`a "" b`:          {"a", "", "b"},
		`"a""b"`:          {`a"b`},
		`\"a b\"`:         {`"a`, `b"`},
		`"a\\" b`:         {`a\`, "b"},
		`a\\\"b`:          {`a\"b`},
		`c:\x\ y`:         {`c:\x\`, "y"},
		`"open end`:       {"open end"},
		`'a b'`:           {"a b"},
		`''`:              {""},
		`x='a b'c y`:      {"x=a bc", "y"},
		`'a "b" \ c'`:     {`a "b" \ c`},
		`it's a b's`:      {"it's", "a", "b's"},
		`'open end`:       {"'open", "end"},
		`"x='y z'"`:       {"x='y z'"},
		"\"kept\nbreak\"": {"kept\nbreak"},
		"a\r\n  b":        {"a", "b"},
	} {
		got, err := words(line)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("words(%q): %v (-want +got):\n%s", line, err, diff)
		}
	}
}

// FuzzParse wants an answer for every text: bounded, and an error that is one line's start.
func FuzzParse(f *testing.F) {
	for _, line := range []string{
		"", "--health-cmd \"pg_isready -U x\" --health-interval 10s", "-itu1000 -v/x -m1g", `-e A="b c" -e 'D=e f'`,
		"--mount type=tmpfs,dst=/x,tmpfs-size=1g --tmpfs /y:size=5%", `--gpus '"device=0,1"'`, "--user root:0 --cap-add all",
		"--ulimit nofile=1:2 --add-host a:::1 --security-opt label=disable --cpus .5", `\\\"'`, "--=x", "---", "-", "--",
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		got, err := Parse(line, Outside{})
		if err != nil {
			if !strings.HasPrefix(err.Error(), "options:") {
				t.Errorf("Parse(%q): the error %q does not say where", line, err)
			}
			return
		}
		if len(got.Env) > maxVariables || got.Memory < 0 || got.ShmSize < 0 || got.CPUMillis < 0 || got.Health.Interval < 0 {
			t.Errorf("Parse(%q) = %+v", line, got)
		}
		for _, v := range got.Volumes {
			if !strings.HasPrefix(v.Target, "/") || v.Target == "/" {
				t.Errorf("Parse(%q) mounts at %q", line, v.Target)
			}
		}
	})
}

// TestTable finds an option named twice, or without a reader, before the flag
// library panics for it.
func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for _, o := range table() {
		for _, name := range []string{o.name, "-" + o.short} {
			if name != "-" && seen[name] {
				t.Errorf("--%s: %s is there twice", o.name, name)
			}
			seen[name] = true
		}
		if o.read == nil {
			t.Errorf("--%s has no reader", o.name)
		}
	}
	if len(table()) < 100 {
		t.Errorf("%d options, and docker create has more than 100", len(table()))
	}
}
