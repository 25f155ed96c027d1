//go:build e2e

package e2e_test

import (
	"flag"
	"os"
	"strconv"
	"testing"
)

// cases is how many tests run at once unless -parallel says otherwise. They
// wait for pods more than for this machine's processors.
const cases = 5

func TestMain(m *testing.M) {
	flag.Parse()
	given := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for name, value := range map[string]string{
		"test.parallel": strconv.Itoa(cases),
		"test.skip":     skipped(given["test.run"]),
	} {
		if given[name] {
			continue
		}
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}
