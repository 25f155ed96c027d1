package main

import (
	"strings"
	"testing"
	"time"
)

func TestOldest(t *testing.T) {
	t.Parallel()
	stat := func(name, started string) string {
		return "7 (" + name + ") S 0 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 " + started + " 1 1\n"
	}
	for _, test := range []struct {
		name, listing string
		want          time.Duration
		fault         string
	}{
		{"the one", stat("pause", "100") + stat("standin", "1050") + "12.25 20.00\n", 1750 * time.Millisecond, ""},
		{"two", stat("standin", "1150") + stat("standin", "1050") + stat("sh", "1200") + "12.25 20.00\n", 1750 * time.Millisecond, ""},
		{"none", stat("pause", "100") + "12.25 20.00\n", 0, "no process standin"},
		{"nothing", "", 0, "no process standin"},
		{"cut off", stat("standin", "1050"), 0, "no process standin"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := oldest(test.listing, "standin")
			if got != test.want || (err == nil) != (test.fault == "") || err != nil && !strings.Contains(err.Error(), test.fault) {
				t.Errorf("got %v, %v; want %v, %q", got, err, test.want, test.fault)
			}
		})
	}
}
