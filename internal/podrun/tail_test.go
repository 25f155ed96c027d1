package podrun

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// TestLastOf keeps the end of a stream, whatever its pieces.
func TestLastOf(t *testing.T) {
	text := strings.Repeat("0123456789", 10_000)
	for _, limit := range []int{1, 10, 50_000, len(text), 2 * len(text)} {
		want := text[max(0, len(text)-limit):]
		for name, stream := range map[string]io.Reader{
			"whole": strings.NewReader(text), "pieces": iotest.HalfReader(strings.NewReader(text)), "end with data": iotest.DataErrReader(strings.NewReader(text)),
		} {
			got, err := lastOf(stream, limit)
			if err != nil || string(got) != want {
				t.Errorf("%s, %d bytes: got %d, want %d, %v", name, limit, len(got), len(want), err)
			}
		}
	}
	broken := errors.New("broken")
	if _, err := lastOf(io.MultiReader(strings.NewReader("x"), iotest.ErrReader(broken)), 10); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}
