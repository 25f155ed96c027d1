package steplog

import (
	"errors"
	"strings"
	"testing"

	"kiln/internal/failure"
)

// token is a stop token of the right form.
const token = "0123456789abcdef0123456789abcdef"

func TestShieldSurroundsWhatABuildPrints(t *testing.T) {
	var out strings.Builder
	log := New(&out, token, false)
	log.Shield("Build x\n::set-env::")
	log.Line("%s", "::set-env name=A::b")
	log.Unshield()
	log.Unshield()
	_, _ = log.Write([]byte("no newline"))
	log.Error(errors.New("50% of\nit"))
	want := "::group::Build x ::set-env::\n::stop-commands::" + token + "\n::set-env name=A::b\n::" + token + "::\n::endgroup::\nno newline\n::error::kiln: 50%25 of%0Ait [internal]\n"
	if got := out.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestError(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"the author's own file": {
			&PlacedError{Place: Place{File: "a,b/Dockerfile", Local: true, Line: 3}, Err: failure.New(failure.RunFailed, "bad")},
			"::error file=a%2Cb/Dockerfile,line=3::bad [run_failed]\n",
		},
		"no line": {&PlacedError{Place: Place{File: "Dockerfile", Local: true}, Err: failure.New(failure.RunFailed, "bad")}, "::error file=Dockerfile::bad [run_failed]\n"},
		"somebody else's file": {
			&PlacedError{Place: Place{File: "acme/lint/v1/Dockerfile", Line: 3}, Err: failure.New(failure.RunFailed, "acme/lint/v1/Dockerfile:3: bad")},
			"::error::acme/lint/v1/Dockerfile:3: bad [run_failed]\n",
		},
		"kiln's trouble": {errors.New("create the build pod: no"), "::error::kiln: create the build pod: no [internal]\n"},
		"of many lines":  {failure.New(failure.RunFailed, "50%% of\nit"), "::error::50%25 of%0Ait [run_failed]\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			New(&out, token, false).Error(tt.err)
			if got := out.String(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestErrorIsHeard(t *testing.T) {
	var out strings.Builder
	log := New(&out, token, false)
	log.Shield("g")
	log.Error(failure.New(failure.RunFailed, "bad"))
	log.Stopped("action's")
	log.Error(failure.New(failure.RunFailed, "worse"))
	want := "::group::g\n::stop-commands::" + token + "\n::" + token + "::\n::endgroup::\n::error::bad [run_failed]\n::action's::\n::error::worse [run_failed]\n"
	if got := out.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

type brokenWriter struct{ calls int }

func (b *brokenWriter) Write([]byte) (int, error) { b.calls++; return 0, errors.New("gone") }

func TestLogStopsAtTheFirstError(t *testing.T) {
	broken := &brokenWriter{}
	log := New(broken, token, false)
	log.Line("a")
	log.Line("b")
	if log.Err() == nil || broken.calls != 1 {
		t.Errorf("err = %v after %d writes", log.Err(), broken.calls)
	}
}

func TestStopToken(t *testing.T) {
	good := strings.Repeat("0a", 16)
	for _, tc := range []struct {
		token string
		kept  bool
	}{{good, true}, {"", false}, {"short", false}, {good + "\n::set-env", false}, {strings.ToUpper(good), false}} {
		if got := stopToken(tc.token); (got == tc.token) != tc.kept || len(got) < 20 {
			t.Errorf("stopToken(%q) = %q", tc.token, got)
		}
	}
}

func TestPlaceOf(t *testing.T) {
	const workspace = "/home/runner/_work/app/app"
	for path, want := range map[string]Place{
		workspace + "/./.github/actions/foo/Dockerfile":       {File: ".github/actions/foo/Dockerfile", Local: true},
		workspace + "/..foo/Dockerfile":                       {File: "..foo/Dockerfile", Local: true},
		"/home/runner/_work/_actions/acme/lint/v1/Dockerfile": {File: "acme/lint/v1/Dockerfile"},
		"/elsewhere/Dockerfile":                               {File: "/elsewhere/Dockerfile"},
		workspace + "2/Dockerfile":                            {File: workspace + "2/Dockerfile"},
	} {
		if got := PlaceOf(path, workspace); got != want {
			t.Errorf("PlaceOf(%q) = %+v, want %+v", path, got, want)
		}
	}
	if got := PlaceOf("/a/Dockerfile", ""); got != (Place{File: "/a/Dockerfile"}) {
		t.Errorf("without a workspace: %+v", got)
	}
}
