package request

import "testing"

func TestRepository(t *testing.T) {
	for reference, want := range map[string]string{
		"ghcr.io/a/b:t": "ghcr.io/a/b", "host:5000/a:t": "host:5000/a", "host:5000/a": "host:5000/a",
	} {
		if got := repository(reference); got != want {
			t.Errorf("repository(%q) = %q, want %q", reference, got, want)
		}
	}
}
