package footprint

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestShrink: pages of the program that were resident are not, behind it, but for what it
// goes on with.
func TestShrink(t *testing.T) {
	touch(t)
	before := resident(t)
	Shrink()
	after := resident(t)
	t.Logf("%d KiB of the program were resident, and %d KiB behind it", before, after)
	if after > before*3/4 {
		t.Errorf("%d KiB of %d KiB of the program are still resident", after, before)
	}
	touch(t) // what was dropped is there again
}

// touch reads every page of the program.
func touch(t *testing.T) {
	t.Helper()
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	defer maps.Close()
	own, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	memory, err := os.Open("/proc/self/mem")
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	for _, r := range programs(maps, own) {
		if _, err := memory.ReadAt(make([]byte, r.to-r.from), int64(r.from)); err != nil {
			t.Fatal(err)
		}
	}
}

// resident is how much of the program is mapped to memory, in KiB.
func resident(t *testing.T) int {
	t.Helper()
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	own, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	total, counts := 0, false
	for line := range strings.Lines(string(smaps)) {
		fields := strings.Fields(line)
		var size int
		switch {
		case strings.Contains(fields[0], "-"):
			counts = len(fields) == 6 && fields[5] == own && !strings.Contains(fields[1], "w")
		case counts && fields[0] == "Rss:":
			if _, err := fmt.Sscan(fields[1], &size); err != nil {
				t.Fatal(err)
			}
			total += size
		}
	}
	return total
}

func TestPrograms(t *testing.T) {
	const maps = `00400000-00500000 r-xp 00000000 fe:00 42   /kilnd
00500000-00580000 r--p 00100000 fe:00 42   /kilnd
00580000-00590000 rw-p 00180000 fe:00 42   /kilnd
00600000-00700000 r-xs 00000000 fe:00 42   /kilnd
00700000-00800000 r--p 00000000 fe:00 43   /kilnd-old
00900000-00800000 r--p 00000000 fe:00 42   /kilnd
no-number r--p 00000000 fe:00 42   /kilnd
c000000000-c000400000 rw-p 00000000 00:00 0
7ffc0000-7ffd0000 r--p 00000000 00:00 0    [vvar]

`
	want := []region{{0x400000, 0x500000}, {0x500000, 0x580000}}
	if diff := cmp.Diff(want, programs(strings.NewReader(maps), "/kilnd"), cmp.AllowUnexported(region{})); diff != "" {
		t.Errorf("programs (-want +got):\n%s", diff)
	}
}
