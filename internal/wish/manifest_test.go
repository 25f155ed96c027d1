package wish

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

func TestManifest(t *testing.T) {
	for name, tt := range map[string]struct {
		text       string
		dockerfile string
		uses       []string
	}{
		"plain":          {text: "name: x\nruns:\n  using: docker\n  image: Dockerfile\n", dockerfile: "Dockerfile"},
		"quoted":         {text: "'runs':\n    \"using\": 'docker'\n    image: \"docker/Dockerfile\"  # where\n", dockerfile: "docker/Dockerfile"},
		"upper case":     {text: "runs:\n  using: Docker\n  image: lint.Dockerfile\n", dockerfile: "lint.Dockerfile"},
		"another name":   {text: "runs:\n  image: Dockerfile.prod\n  using: docker\n", dockerfile: "Dockerfile.prod"},
		"above":          {text: "runs:\n  using: docker\n  image: ../Dockerfile # up\n", dockerfile: "../Dockerfile"},
		"with comments":  {text: "# runs:\nruns: # how\n  # image: docker://x\n  using: docker\n\n  image: Dockerfile\n", dockerfile: "Dockerfile"},
		"Windows":        {text: "\ufeffruns:\r\n  using: docker\r\n  image: Dockerfile\r\n", dockerfile: "Dockerfile"},
		"not indented":   {text: "runs:\n using: docker\n image: Dockerfile\ninputs:\n image:\n  default: x\n", dockerfile: "Dockerfile"},
		"args behind":    {text: "runs:\n  using: docker\n  image: Dockerfile\n  args:\n    - image: x\n  env:\n    image: Other.Dockerfile\n", dockerfile: "Dockerfile"},
		"elsewhere":      {text: "inputs:\n  using:\n    default: docker\n  image:\n    description: Dockerfile\nruns:\n  using: node20\n  main: x.js\n"},
		"a description":  {text: "description: |\n  runs:\n    using: docker\n    image: Dockerfile\nruns:\n  using: node20\n"},
		"an image":       {text: "runs:\n  using: docker\n  image: docker://acme/Dockerfile\n"},
		"no Dockerfile":  {text: "runs:\n  using: docker\n  image: Containerfile\n"},
		"no image":       {text: "runs:\n  using: docker\n"},
		"two lines":      {text: "runs:\n  using: docker\n  image: \n    Dockerfile\n"},
		"a long line":    {text: "runs:\n  using: docker\n  image: Docker\n    Dockerfile\n"},
		"an anchor":      {text: "x: &y Dockerfile\nruns:\n  using: docker\n  image: *y\n"},
		"an escape":      {text: "runs:\n  using: docker\n  image: \"Docker\\x66ile\"\n"},
		"a block":        {text: "runs:\n  using: docker\n  image: >-\n    Dockerfile\n"},
		"in one line":    {text: "runs: {using: docker, image: Dockerfile}\n"},
		"a composite":    {text: "runs:\n  using: composite\n  steps:\n    - uses: acme/a@v1\n      with:\n        image: Dockerfile\n    - name: b\n      uses: 'acme/b/sub@v2' # b\n    - run: echo\n      shell: bash\n", uses: []string{"acme/a@v1", "acme/b/sub@v2"}},
		"a flat one":     {text: "runs:\n  using: composite\n  steps:\n  - uses: acme/a@v1\n  - uses: ./x\n", uses: []string{"acme/a@v1", "./x"}},
		"nothing":        {},
		"no manifest":    {text: "\x00:::\n- -\n:\n: \n\" :\n"},
		"only a key":     {text: "runs:"},
		"tabs":           {text: "runs:\n\tusing: docker\n\timage: Dockerfile\n"},
		"a list of runs": {text: "runs:\n- using: docker\n- image: Dockerfile\n"},
	} {
		t.Run(name, func(t *testing.T) {
			m := parseManifest(tt.text)
			if m.dockerfile() != tt.dockerfile {
				t.Errorf("the Dockerfile is %q, want %q", m.dockerfile(), tt.dockerfile)
			}
			if diff := cmp.Diff(tt.uses, m.uses); diff != "" {
				t.Errorf("uses (-want +got):\n%s", diff)
			}
			if tt.dockerfile == "" {
				return
			}
			// YAML has the same to say.
			var read struct{ Runs struct{ Image string } }
			if err := yaml.Unmarshal([]byte(tt.text), &read); err != nil || read.Runs.Image != tt.dockerfile {
				t.Errorf("YAML has %q, %v", read.Runs.Image, err)
			}
		})
	}
}

func TestUses(t *testing.T) {
	for text, want := range map[string]*Action{
		"acme/a@v1":         {Repository: "acme/a", Ref: "v1"},
		"acme/a/b/c@x/y":    {Repository: "acme/a", Path: "b/c", Ref: "x/y"},
		"./a":               nil,
		"./a@v1":            nil,
		"docker://acme/a@b": nil,
		"acme@v1":           nil,
		"acme/a":            nil,
		"acme/a@":           nil,
		"":                  nil,
	} {
		got, ok := parseUses(text)
		if ok != (want != nil) || ok && got != *want {
			t.Errorf("%q: %+v, %v", text, got, ok)
		}
	}
}

// FuzzManifest: whatever stands in action.yml, reading it ends, and where the text is a
// manifest of an action that runs a Dockerfile, written plainly, it is found.
func FuzzManifest(f *testing.F) {
	for _, text := range []string{"", "runs:\n  using: docker\n  image: Dockerfile\n", "- \n-  '':\n\t\"", "runs: {", "a: 'b"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m := parseManifest(text)
		for _, uses := range append(m.uses, text) {
			parseUses(uses)
		}
		m.dockerfile()
		got := parseManifest("inputs:\n  x:\n    default: |\n" + indented(text) + "runs:\n  using: docker\n  image: Dockerfile\n")
		if got.dockerfile() != "Dockerfile" {
			t.Errorf("behind %q: %+v", text, got)
		}
	})
}

// indented is a text as the content of a block scalar.
func indented(text string) string {
	out := "      x"
	for _, r := range text {
		if out += string(r); r == '\n' || r == '\r' {
			out += "      "
		}
	}
	return out + "\n"
}
