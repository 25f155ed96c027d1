package harness

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestReadUntil(t *testing.T) {
	failed := errors.New("connection lost")
	tests := map[string]struct {
		log  string
		end  error // in place of the end
		want error
	}{
		"there":          {"one\ntwo\n", nil, nil},
		"at the end":     {"one\ntw", nil, errNotSaid},
		"empty":          {"", nil, errNotSaid},
		"cut off before": {"one\n", failed, failed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := iotest.OneByteReader(strings.NewReader(tt.log))
			if tt.end != nil {
				r = io.MultiReader(r, iotest.ErrReader(tt.end))
			}
			if err := readUntil(r, "two\n"); !errors.Is(err, tt.want) {
				t.Errorf("readUntil = %v, want %v", err, tt.want)
			}
		})
	}
}
