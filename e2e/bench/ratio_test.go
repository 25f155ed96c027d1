package main

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// repeated are n values that go round in a list.
func repeated(n int, values ...float64) []float64 {
	var all []float64
	for i := range n {
		all = append(all, values[i%len(values)])
	}
	return all
}

func TestVerdict(t *testing.T) {
	tests := map[string]struct {
		old, newer, again []float64
		want              string
	}{
		"equal":               {repeated(20, 2), repeated(20, 2), repeated(20, 2), fine},
		"faster":              {repeated(20, 2), repeated(20, 1), repeated(20, 2), fine},
		"at the limit":        {repeated(20, 2), repeated(20, 2*tolerated), repeated(20, 2), fine},
		"over it":             {repeated(20, 100), repeated(20, 106), repeated(20, 100, 101, 99), slower},
		"over it, noisy":      {repeated(20, 100), repeated(20, 108), repeated(20, 80, 125), noise},
		"noisy, but far over": {repeated(20, 100), repeated(20, 160), repeated(20, 80, 125), slower},
		"slow in few rounds":  {repeated(20, 1), append(repeated(5, 9), repeated(15, 1)...), repeated(20, 1), fine},
		// What drifts with the machine is the same in both of a pair.
		"pair by pair":           {[]float64{1, 2, 4, 8}, []float64{1, 2, 4, 8}, []float64{1, 2, 4, 8}, fine},
		"slower, pair by pair":   {[]float64{1, 2, 4, 8}, []float64{1.1, 2.2, 4.4, 8.8}, []float64{1, 2, 4, 8}, slower},
		"again is always faster": {repeated(20, 100), repeated(20, 110), repeated(20, 90), noise},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := figure{values: [sides][]float64{before: tt.old, after: tt.newer, again: tt.again}}
			if got := f.verdict(); got != tt.want {
				t.Errorf("verdict = %q, want %q; ratios %v, chance %v", got, tt.want, f.ratios(after), chance(f.ratios(again)))
			}
		})
	}
}

// TestConfidence has the places of the textbook's table for the sign test.
func TestConfidence(t *testing.T) {
	for n, place := range map[int]int{1: 1, 2: 1, 5: 1, 6: 1, 8: 1, 9: 2, 12: 3, 20: 6, 25: 8, 30: 10, 40: 14} {
		var values []float64
		for i := range n {
			values = append(values, float64(n-i))
		}
		low, high := confidence(values)
		if low != float64(place) || high != float64(n+1-place) {
			t.Errorf("of %d values: %v to %v, want %d to %d", n, low, high, place, n+1-place)
		}
	}
}

func TestMiddle(t *testing.T) {
	for want, values := range map[float64][]float64{1: {1}, 2: {3, 1, 2}, 2.5: {4, 1, 3, 2}} {
		if got := middle(values); got != want {
			t.Errorf("middle of %v = %v, want %v", values, got, want)
		}
	}
}

// TestOrder: no side is favoured by its place in a round.
func TestOrder(t *testing.T) {
	var places [sides][sides]int
	var follows [sides][sides]int
	for n := range 6 {
		for place, side := range order(n) {
			places[side][place]++
			if place > 0 {
				follows[side][order(n)[place-1]]++
			}
		}
	}
	want := [sides][sides]int{{2, 2, 2}, {2, 2, 2}, {2, 2, 2}}
	if diff := cmp.Diff(want, places); diff != "" {
		t.Errorf("places (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([sides][sides]int{{0, 2, 2}, {2, 0, 2}, {2, 2, 0}}, follows); diff != "" {
		t.Errorf("follows (-want +got):\n%s", diff)
	}
}

func TestPrintFigures(t *testing.T) {
	figures := []figure{
		{"good, s", [sides][]float64{{2, 4}, {1, 3}, {2, 5}}},
		{"bad, s", [sides][]float64{{1, 1}, {2, 3}, {1, 1}}},
	}
	var out strings.Builder
	worse, err := printFigures(&out, figures)
	if err != nil || !slices.Equal(worse, []string{"bad, s"}) {
		t.Errorf("worse = %v, %v", worse, err)
	}
	table := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{
		"good, s 3.000 2.000 0.625 (0.50 to 0.75) 1.125 (1.00 to 1.25) ok",
		"bad, s 1.000 2.500 2.500 (2.00 to 3.00) 1.000 (1.00 to 1.00) SLOWER",
	} {
		if !strings.Contains(table, want) {
			t.Errorf("table has no line %q:\n%s", want, out.String())
		}
	}
}

func TestGateTimes(t *testing.T) {
	const out = `goos: linux
BenchmarkGate/http/1.1/upload-2         	       1	1139042391 ns/op	        80.00 %-of-direct	       488.0 direct-MB/s	       446.1 gate-MB/s
BenchmarkGate/http/1.1/download-2       	       1	 939042391 ns/op	        50.00 %-of-direct	       688.0 direct-MB/s	       546.1 gate-MB/s
BenchmarkGate/h2/download-2             	       1	 939042391 ns/op	       100.0 %-of-direct	       688.0 direct-MB/s	       546.1 gate-MB/s
BenchmarkGate/h2/upload                 	       1	 939042391 ns/op	        40.00 %-of-direct	       688.0 direct-MB/s	       546.1 gate-MB/s
PASS
`
	got, err := gateTimes(out)
	if err != nil {
		t.Fatal(err)
	}
	want := []float64{2, 1.25, 1, 2.5}
	for i := range want {
		if math.Abs(got[i]-want[i]) > 1e-9 {
			t.Fatalf("times = %v, want %v", got, want)
		}
	}
	if _, err := gateTimes("PASS\n"); err == nil {
		t.Error("no benchmark is no error")
	}
}

func TestPeakMemory(t *testing.T) {
	got, err := peakMemory("VmHWM:\t  10 kB\n  VmHWM:     2048 kB\nVmHWM:\t 512 kB\n")
	if err != nil || got != 2<<20 {
		t.Errorf("peak = %d, %v; want 2 MiB", got, err)
	}
	if _, err := peakMemory("nothing"); err == nil {
		t.Error("a log that says nothing is no error")
	}
}
