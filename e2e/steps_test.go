//go:build e2e

package e2e_test

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/runner"
	"kiln/e2e/suite"
)

// stepCase is an action, how it is used, and what must come of it.
type stepCase struct {
	name  string
	dir   func(suite.Stage, string) string // suite.Stage.Example or suite.Stage.Testdata
	dirOf string
	use   harness.Use
	files harness.Files
	check func(*testing.T, *suite.Fixture, []*harness.Result)
}

func stepCases() []stepCase {
	example, testdata := suite.Stage.Example, suite.Stage.Testdata
	return []stepCase{
		{
			name: "shell with inputs and outputs", dir: example, dirOf: "hello-shell", check: checkHello,
			use: harness.Use{With: map[string]string{"who-to-greet": "Mona Lisa", "shout": "true"}},
		},
		{
			name: "compiled, image without a shell", dir: example, dirOf: "word-count", check: checkWordCount,
			use:   harness.Use{With: map[string]string{"file": "words.txt"}},
			files: harness.Files{"app/app/words.txt": {Data: []byte("one two\n three  four\n")}},
		},
		{name: "pre, main and post", dir: example, dirOf: "timed-work", check: checkStages},
		{
			name: "local action", dir: example, dirOf: "hello-shell", check: checkLocal,
			use: harness.Use{Uses: "./.github/actions/hello", With: map[string]string{"who-to-greet": "local"}},
		},
		{name: "Dockerfile with another name", dir: testdata, dirOf: "named-file", check: logHas("built from alpine.Dockerfile")},
		{name: "Dockerfile in a directory", dir: testdata, dirOf: "dockerfile-in-directory", check: logHas("from the Dockerfile's own directory")},
		{
			name: "what a container action is promised", dir: testdata, dirOf: "look-around", check: checkLookAround,
			use:   harness.Use{Env: map[string]string{"INPUT_WITH-DASH": "dash"}},
			files: harness.Files{"app/app/seen.txt": {Data: []byte("seen\n")}},
		},
		{name: "ready image", dir: testdata, dirOf: "ready-image", check: logHas("no build at all\n")},
		{name: "exit code", dir: testdata, dirOf: "exit3", check: func(t *testing.T, _ *suite.Fixture, r []*harness.Result) {
			if r[0].ExitCode != 3 {
				t.Errorf("exit code = %d, want 3:\n%s", r[0].ExitCode, r[0].Log)
			}
		}},
		{name: "RUN fails", dir: testdata, dirOf: "run-fails", check: func(t *testing.T, _ *suite.Fixture, r []*harness.Result) {
			outcome.Log(t, r[0], "about to fail")
			outcome.Error(t, r[0], "Dockerfile", "7")
		}},
		{name: "base image missing", dir: testdata, dirOf: "missing-base", check: failsSaying("no-such-image")},
		{name: "COPY of a missing file", dir: testdata, dirOf: "copy-missing", check: failsSaying("not-there.txt")},
		{name: "hostile build log", dir: testdata, dirOf: "hostile-log", check: checkHostileLog},
		{name: "20 MB of log", dir: testdata, dirOf: "big-log", check: checkBigLog},
	}
}

// TestSteps plays every case in one runner pod, several at a time, and then
// looks at what the pods were like and at what is left.
func TestSteps(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "steps", nil)
	t.Run("cases", func(t *testing.T) {
		for _, tt := range stepCases() {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				if tt.use.Uses == "" {
					tt.use.Uses = "acme/" + tt.dirOf + "@v1"
				}
				results := f.Use(t, tt.dir(f.Stage, tt.dirOf), tt.use, tt.files)
				for again := 0; again < 2 && nodeLostLines(results); again++ {
					t.Log("the node lost lines of the log, and kiln said so: once more")
					results = f.Use(t, tt.dir(f.Stage, tt.dirOf), tt.use, tt.files)
				}
				tt.check(t, f, results)
				for _, r := range results {
					if r.OutputHeld || r.Response != "" {
						t.Errorf("output held open: %v, response %q; want neither", r.OutputHeld, r.Response)
					}
				}
			})
		}
	})
	t.Run("nothing is left", f.WantNothingLeft)
	t.Run("build pods hold no credentials", f.WantHarmlessBuildPods)
	t.Run("actions run by digest and without a token", func(t *testing.T) { wantPlainActionPods(t, f) })
	t.Run("the runner container has no token", func(t *testing.T) { wantNoToken(t, f) })
}

// nodeLostLines says whether kiln found that the node rotated a log file away
// unread. The kubelet serves nothing of such a file: a node that is too busy to
// hand its log out for ten seconds loses lines, whoever reads them.
func nodeLostLines(results []*harness.Result) bool {
	return slices.ContainsFunc(results, func(r *harness.Result) bool {
		return strings.Contains(r.Log, "may be missing here")
	})
}

// TestTwoAtOnce plays the same action with two inputs at the same time: its
// image is built once, and each step runs it.
func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "two", nil)
	names := []string{"one", "two"}
	results := make([][]*harness.Result, len(names))
	errs := make([]error, len(names))
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() {
			u := harness.Use{Uses: "acme/hello-" + name + "@v1", With: map[string]string{"who-to-greet": name}}
			results[i], errs[i] = f.Stages(t.Context(), f.Example("hello-shell"), u, nil)
		})
	}
	wg.Wait()
	for i, name := range names {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		outcome.Success(t, results[i]...)
		if got, want := results[i][0].Outputs["greeting"], "Hello, "+name+"!"; got != want {
			t.Errorf("output greeting = %q, want %q", got, want)
		}
	}
	if n := len(f.BuildPods()); n != 1 {
		t.Errorf("%d build pods, want 1 for both steps", n)
	}
	f.WantNothingLeft(t)
}

func logHas(texts ...string) func(*testing.T, *suite.Fixture, []*harness.Result) {
	return func(t *testing.T, _ *suite.Fixture, r []*harness.Result) {
		outcome.Success(t, r...)
		outcome.Log(t, r[0], texts...)
	}
}

func failsSaying(texts ...string) func(*testing.T, *suite.Fixture, []*harness.Result) {
	return func(t *testing.T, _ *suite.Fixture, r []*harness.Result) { outcome.Error(t, r[0], texts...) }
}

func checkHello(t *testing.T, _ *suite.Fixture, r []*harness.Result) {
	outcome.Success(t, r...)
	outcome.Log(t, r[0], "HELLO, MONA LISA!\n")
	if got, want := r[0].Outputs["greeting"], "HELLO, MONA LISA!"; got != want {
		t.Errorf("output greeting = %q, want %q", got, want)
	}
	if r[0].Outputs["time"] == "" {
		t.Errorf("outputs = %v, want a time", r[0].Outputs)
	}
}

func checkWordCount(t *testing.T, _ *suite.Fixture, r []*harness.Result) {
	outcome.Success(t, r...)
	if got := r[0].Outputs["words"]; got != "4" {
		t.Errorf("output words = %q, want 4:\n%s", got, outcome.Tail(r[0].Log))
	}
}

func checkLocal(t *testing.T, _ *suite.Fixture, r []*harness.Result) {
	outcome.Success(t, r...)
	if !strings.Contains(string(r[0].Message), "/app/app/./.github/actions/hello/Dockerfile") {
		t.Errorf("message has no /./ in its path: %s", r[0].Message)
	}
	if got := r[0].Outputs["greeting"]; got != "Hello, local!" {
		t.Errorf("output greeting = %q", got)
	}
}

func checkStages(t *testing.T, f *suite.Fixture, r []*harness.Result) {
	outcome.Success(t, r...)
	if len(r) != 3 {
		t.Fatalf("played %d stages, want 3", len(r))
	}
	outcome.Log(t, r[0], "The clock runs.")
	outcome.Log(t, r[1], "Wrote work.txt in /github/workspace")
	outcome.Log(t, r[2], "The job took")
	if r[0].State["started"] == "" || !strings.HasPrefix(r[2].Summary, "Took ") {
		t.Errorf("state = %v, summary = %q", r[0].State, r[2].Summary)
	}
	if got, err := f.Run(t.Context(), "cat", "/home/runner/_work/app/app/work.txt"); err != nil || got != "worked\n" {
		t.Errorf("work.txt = %q, %v", got, err)
	}
}

func checkLookAround(t *testing.T, f *suite.Fixture, r []*harness.Result) {
	outcome.Success(t, r...)
	outcome.Log(t, r[0],
		"directory: /github/workspace\n", "home: /github/home\n", "marks: GITHUB_ACTIONS=true CI=true\n",
		"arguments: 5\n", "argument: <--flag>\n", "argument: <two words>\n", "argument: <>\n",
		"argument: <$HOME and $(HOME)>\n", "argument: <say \"hi\">\n",
		"odd name: INPUT_WITH-DASH=dash\n", "workspace file: seen\n", "same file: seen\n",
		"event: present\n", "runner temp: present\n", "token: absent\n")
	if r[0].Env["name"] != "value" || !cmp.Equal(r[0].Path, []string{"/opt/from-action"}) {
		t.Errorf("env = %v, path = %v", r[0].Env, r[0].Path)
	}
	if got, err := f.Run(t.Context(), "cat", "/home/runner/_work/app/app/from-action.txt"); err != nil || got != "left here\n" {
		t.Errorf("from-action.txt = %q, %v", got, err)
	}
}

func checkHostileLog(t *testing.T, _ *suite.Fixture, r []*harness.Result) {
	outcome.Success(t, r...)
	outcome.Log(t, r[0], "name=EVIL", "text ##[add-matcher]/evil.json")
	said := false
	for _, c := range runner.Commands(r[0].Log) {
		switch c.Name {
		case "group", "endgroup":
		case "notice":
			said = said || c.Data == "said by the action"
		default:
			t.Errorf("the build made the runner carry out %+v", c)
		}
	}
	if !said {
		t.Errorf("the action's own command is not seen:\n%s", r[0].Log)
	}
}

func checkBigLog(t *testing.T, _ *suite.Fixture, r []*harness.Result) {
	outcome.Success(t, r...)
	outcome.Numbered(t, r[0], 200_000)
}

// wantPlainActionPods looks at every pod of an action Job that was seen. What
// kiln has built runs by digest; a ready image runs as the action names it.
func wantPlainActionPods(t *testing.T, f *suite.Fixture) {
	pods := f.Seen.With("job")
	if len(pods) == 0 {
		t.Fatal("no action pod was seen")
	}
	for _, pod := range pods {
		job := harness.Container(pod, "job")
		if strings.HasPrefix(job.Image, f.Registry) && !strings.Contains(job.Image, "@sha256:") {
			t.Errorf("action pod %s runs %s, want a digest", pod.Name, job.Image)
		}
		if pod.Spec.AutomountServiceAccountToken == nil || *pod.Spec.AutomountServiceAccountToken {
			t.Errorf("action pod %s mounts a service account token", pod.Name)
		}
		for _, m := range job.VolumeMounts {
			if strings.Contains(m.MountPath, "docker.sock") {
				t.Errorf("action pod %s mounts %s", pod.Name, m.MountPath)
			}
		}
		for _, e := range job.Env {
			if e.Value != "" {
				t.Errorf("action pod %s has %s in clear in its spec", pod.Name, e.Name)
			}
		}
		suite.WantUnprivileged(t, pod)
	}
}

// wantNoToken looks for a token where the runner container could have one.
func wantNoToken(t *testing.T, f *suite.Fixture) {
	mounts, err := f.Run(t.Context(), "cat", "/proc/mounts")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(mounts, "kubernetes.io") {
		t.Errorf("the runner container has a token mounted:\n%s", mounts)
	}
	found, err := f.Run(t.Context(), "find", "/run", "/var/run/", "/var/lib/kiln", "/home", "/opt", "-name", "*token*")
	if err == nil || found != "" {
		t.Errorf("find = %q, %v; want no token and no daemon's state", found, err)
	}
}
