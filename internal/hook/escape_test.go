package hook

import "testing"

func TestEscape(t *testing.T) {
	const text = "50%: a,b\r\nc"
	if got, want := EscapeData(text), "50%25: a,b%0D%0Ac"; got != want {
		t.Errorf("EscapeData = %q, want %q", got, want)
	}
	if got, want := EscapeProperty(text), "50%25%3A a%2Cb%0D%0Ac"; got != want {
		t.Errorf("EscapeProperty = %q, want %q", got, want)
	}
}
