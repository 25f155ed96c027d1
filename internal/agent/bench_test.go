package agent_test

import (
	"io"
	"os/exec"
	"slices"
	"testing"
	"time"

	"kiln/internal/agent"
)

// ways are what a step is compared with: the same program forked here.
func ways(b *testing.B) map[string]func(call agent.Call) {
	c := start(b)
	through := func(door agent.Door) func(agent.Call) {
		return func(call agent.Call) {
			outcome, err := door.Run(b.Context(), agent.Step{Call: call, Output: io.Discard})
			if err != nil || outcome.Code != 0 {
				b.Fatalf("%+v, %v", outcome, err)
			}
		}
	}
	return map[string]func(agent.Call){
		"unix": through(c.unix), "tcp": through(c.tcp),
		"fork": func(call agent.Call) {
			cmd := exec.CommandContext(b.Context(), call.Argv[0], call.Argv[1:]...)
			read, err := cmd.StdoutPipe()
			if err == nil {
				err = cmd.Start()
			}
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.Copy(struct{ io.Writer }{io.Discard}, read); err != nil {
				b.Fatal(err)
			}
			if err := cmd.Wait(); err != nil {
				b.Fatal(err)
			}
		},
	}
}

// compare measures every way in turn and reports the medians in milliseconds
// and how they relate to the fork.
func compare(b *testing.B, call agent.Call) {
	all := ways(b)
	took := map[string][]time.Duration{}
	for b.Loop() {
		for name, way := range all {
			begun := time.Now()
			way(call)
			took[name] = append(took[name], time.Since(begun))
		}
	}
	median := func(name string) float64 {
		slices.Sort(took[name])
		return float64(took[name][len(took[name])/2])
	}
	for name := range all {
		b.ReportMetric(median(name)/1e6, name+"-ms")
		if name != "fork" {
			b.ReportMetric(median("fork")/median(name), "fork/"+name)
		}
	}
}

func BenchmarkStep(b *testing.B) { compare(b, agent.Call{Argv: []string{"true"}}) }

// BenchmarkOutput prints 50 MB; fork/unix is the share of the fork's throughput.
func BenchmarkOutput(b *testing.B) { compare(b, sh(pattern(50<<20))) }
