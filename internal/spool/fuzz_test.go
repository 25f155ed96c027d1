package spool_test

import (
	"encoding/json"
	"testing"

	"kiln/internal/spool"
)

// FuzzParseRequest wants that what is accepted has this version, arguments
// that are JSON, and comes out the same when it is written and read again.
func FuzzParseRequest(f *testing.F) {
	for _, seed := range []string{
		"", "null", "[]", "{}", `{"version":1}`, `{"version":1.0}`, `{"version":1e0}`, `{"VERSION":1}`,
		`{"version":1,"version":2}`, `{"version":1,"args":{"image":"a","x":[1,null]},"debug":true}`,
		`{"version":1,"args":null}`, "{\"version\":1,\"path\":\"\xff\\ud800\"}", `{"version":1,"stop_token":"0\n"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		request, err := spool.ParseRequest(data)
		if err != nil {
			if request.Args != nil || request.Path != "" {
				t.Errorf("an error comes with a request: %+v", request)
			}
			return
		}
		if request.Version != spool.Version {
			t.Errorf("version %d is accepted", request.Version)
		}
		if len(request.Args) > 0 && !json.Valid(request.Args) {
			t.Errorf("args %q", request.Args)
		}
		first, err := json.Marshal(request)
		if err != nil {
			t.Fatal(err)
		}
		again, err := spool.ParseRequest(first)
		if err != nil {
			t.Fatal(err)
		}
		if second, err := json.Marshal(again); err != nil || string(second) != string(first) {
			t.Errorf("written again: %s, %v, want %s", second, err, first)
		}
	})
}

// FuzzParseResult wants that what is accepted is a code that a process can
// exit with.
func FuzzParseResult(f *testing.F) {
	for _, seed := range []string{
		"", "null", `{"version":1}`, `{"version":1,"exit_code":255,"log_bytes":9223372036854775807}`,
		`{"version":1,"exit_code":256}`, `{"version":1,"exit_code":-1}`, `{"version":1,"message":"\u0000::error::"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		result, err := spool.ParseResult(data)
		if err != nil {
			return
		}
		if result.Version != spool.Version || result.ExitCode < 0 || result.ExitCode > 255 {
			t.Errorf("accepted %+v", result)
		}
	})
}
